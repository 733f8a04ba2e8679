"""What a compiled TPU program moves and computes, a loop's body counted as often as it runs.

The compiler's own `cost_analysis` counts a loop's body once: of a clip of 25 frames it sees one.
Here the program's text is read: bytes that cross the chip's memory as they are stored, padding to
tiles included, what stays in the memory on the chip not; operations of convolutions and products;
and the compiler's own estimate of cycles. Of a fusion that reads or writes a slice of an array
only the slice counts, as in the compiler's analysis, with which the sum agrees to a few per cent
for a program without loops.
"""

import math
import re
from typing import NamedTuple

_ITEM_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}
_ITEM_BYTES |= {"f32": 4, "s32": 4, "u32": 4, "f64": 8, "s64": 8, "u64": 8}
# Of these nothing is read or written when they run, or it is counted elsewhere.
_FREE = {"parameter", "get-tuple-element", "tuple", "bitcast", "constant", "iota", "conditional"}
_FREE |= {"after-all", "copy-done", "async-done", "async-update", "opt-barrier", "partition-id"}
_FREE |= {"replica-id"}
_SHAPE = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^{}]*)\})?")
_INSTRUCTION = re.compile(r"^\s*(ROOT )?%?([\w.\-]+) = (.*)$")


class Cost(NamedTuple):
    """Bytes through the chip's memory, operations of products, cycles as the compiler guesses."""

    num_bytes: float = 0.0
    operations: float = 0.0
    cycles: float = 0.0

    def plus(self, other: "Cost", times: float = 1.0) -> "Cost":
        """The sum, with the other so many times."""
        return Cost(*(a + times * b for a, b in zip(self, other)))


class _Instruction(NamedTuple):
    name: str
    type: str
    opcode: str
    arguments: list[str]
    written: str  # The arguments as they are written, of a constant or a parameter its number.
    attributes: str
    is_root: bool


_Computation = dict[str, _Instruction]


def cost_of_program(text: str) -> Cost:
    """The cost of a compiled module, from `compiled.as_text()`."""
    computations, entry = _parse(text)
    return _Program(computations).cost(entry)


def bytes_of(shape: str) -> int:
    """Bytes of a shape or a tuple of shapes as stored; 0 for what is in the memory on the chip."""
    return sum(_bytes_of_array(found) for found in _SHAPE.finditer(shape))


def _bytes_of_array(found: re.Match) -> int:
    kind, sides, layout = found[1], [int(n) for n in found[2].split(",") if n], found[3] or ""
    if kind not in _ITEM_BYTES or "S(" in layout:
        return 0
    tile = re.search(r"T\(([\d,]+)\)", layout)
    if tile and sides:
        minor_first = [int(axis) for axis in layout.split(":")[0].split(",") if axis]
        sides = [sides[axis] for axis in minor_first]
        for place, size in enumerate(reversed([int(n) for n in tile[1].split(",")])):
            if place < len(sides):
                sides[place] = -(-sides[place] // size) * size
    return math.prod(sides) * _ITEM_BYTES[kind]


class _Program:
    def __init__(self, computations: dict[str, _Computation]) -> None:
        self._computations = computations

    def cost(self, name: str) -> Cost:
        """Of a computation that is run once."""
        total, body = Cost(), self._computations[name]
        for each in body.values():
            if each.opcode == "while":
                inside = self.cost(_called(each, "body"))
                total = total.plus(inside, self._trips(_called(each, "condition")))
            elif each.opcode == "call":
                total = total.plus(self.cost(_called(each, "to_apply")))
            elif each.opcode not in _FREE:
                total = total.plus(self._instruction(each, body))
        return total

    def _trips(self, condition: str) -> int:
        constants = [i for i in self._computations[condition].values() if i.opcode == "constant"]
        limits = [int(n) for i in constants for n in re.findall(r"^\((\d+)\)$", i.written)]
        if len(limits) != 1:
            raise ValueError(f"loop condition {condition}: expected one limit, found {limits}")
        return limits[0]

    def _instruction(self, each: _Instruction, body: _Computation) -> Cost:
        cycles = re.search(r'"estimated_cycles":"(\d+)"', each.attributes)
        inputs = [bytes_of(body[a].type) if a in body else 0 for a in each.arguments]
        if each.opcode == "fusion":
            num_bytes = self._fusion_bytes(each, inputs)
        elif each.opcode == "dynamic-slice":
            num_bytes = 2 * bytes_of(each.type)
        elif each.opcode == "dynamic-update-slice":
            num_bytes = 2 * inputs[1]
        elif each.opcode == "copy-start":  # Its type: destination, source, and a token.
            num_bytes = bytes_of(each.type)
        else:
            num_bytes = sum(inputs) + bytes_of(each.type)
        operations = self._operations(each, body)
        return Cost(num_bytes, operations, float(cycles[1]) if cycles else 0.0)

    def _operations(self, each: _Instruction, body: _Computation) -> float:
        if each.opcode == "fusion":
            inside = self._computations[_called(each, "calls")]
            return sum(self._operations(i, inside) for i in inside.values())
        if each.opcode not in ("convolution", "dot"):
            return 0.0
        outputs = math.prod(_sides(each.type))
        if each.opcode == "dot":
            axes = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", each.attributes)[1]
            sides = _sides(body[each.arguments[0]].type)
            return 2.0 * outputs * math.prod(sides[int(a)] for a in axes.split(",") if a)
        labels = re.search(r"dim_labels=\w+_(\w+)->", each.attributes)[1]
        sides = _sides(body[each.arguments[1]].type)
        return 2.0 * outputs * math.prod(s for s, label in zip(sides, labels) if label != "o")

    def _fusion_bytes(self, each: _Instruction, inputs: list[int]) -> int:
        inside = self._computations[_called(each, "calls")]
        total = 0
        for instruction in inside.values():
            if instruction.opcode == "parameter":
                whole = inputs[int(instruction.written.strip("()"))]
                total += min(whole, _read(instruction.name, whole, inside))
        root = next(i for i in inside.values() if i.is_root)
        results = [inside[a] for a in root.arguments] if root.opcode == "tuple" else [root]
        for result, stored in zip(results, _SHAPE.finditer(each.type)):
            while result.opcode == "bitcast":
                result = inside[result.arguments[0]]
            whole = _bytes_of_array(stored)
            if result.opcode == "dynamic-update-slice":
                # An update is in the chip's memory when the array that it goes to is.
                update = re.sub(r"S\(\d\)", "", inside[result.arguments[1]].type)
                whole = min(whole, bytes_of(update))
            total += whole
        return total


def _read(name: str, whole: int, inside: _Computation) -> int:
    """Bytes of a fusion's input that it reads."""
    total = 0
    for user in inside.values():
        if name not in user.arguments:
            continue
        if user.opcode == "dynamic-slice":
            total += bytes_of(re.sub(r"S\(\d\)", "", user.type))
        elif user.opcode == "bitcast":
            total += _read(user.name, whole, inside)
        elif user.opcode != "dynamic-update-slice" or user.arguments[0] != name:
            return whole
    return total


def _sides(shape: str) -> list[int]:
    return [int(n) for n in _SHAPE.search(shape)[2].split(",") if n]


def _called(each: _Instruction, role: str) -> str:
    return re.search(rf"{role}=%?([\w.\-]+)", each.attributes)[1]


def _parse(text: str) -> tuple[dict[str, _Computation], str]:
    computations: dict[str, _Computation] = {}
    entry, body = "", None
    for line in text.splitlines():
        if line[:1] in ("%", "E") and line.rstrip().endswith("{") and "(" in line:
            name = line.removeprefix("ENTRY ").lstrip("%").split("(")[0].split()[0]
            body = computations.setdefault(name, {})
            entry = name if line.startswith("ENTRY") else entry
        elif line.startswith("}"):
            body = None
        elif body is not None and (found := _INSTRUCTION.match(line)):
            is_root, name, rest = found.groups()
            shape, rest = _until_closed(rest) if rest.startswith("(") else rest.split(" ", 1)
            opcode, rest = rest.strip().split("(", 1)
            written, attributes = _until_closed("(" + rest)
            arguments = re.findall(r"%([\w.\-]+)", written)
            body[name] = _Instruction(
                name, shape, opcode, arguments, written, attributes, bool(is_root)
            )
    return computations, entry


def _until_closed(text: str) -> tuple[str, str]:
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[: place + 1], text[place + 1 :]
    raise ValueError(f"no closing bracket in {text[:60]!r}")
