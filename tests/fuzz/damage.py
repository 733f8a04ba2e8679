"""What happens to files on their way, as a Hypothesis strategy."""

import struct

from hypothesis import strategies as st

_NUMBERS = (0, 1, 2, 255, 4096, 4097, 60_000, 65_535, 2**31 - 1, 2**31, 2**32 - 1)
# What readers take for something else than data.
TOKENS = (
    *(struct.pack("<I", number) for number in _NUMBERS),
    *(struct.pack(">I", number) for number in _NUMBERS),
    *(struct.pack(">H", number & 0xFFFF) for number in _NUMBERS),
    *(struct.pack("<d", number) for number in (float("nan"), float("inf"), -1.0, 1e300)),
    *(b"", b"\0", b"\n", b"\r\n", b",", b'"', b"'", b"[", b"{", b":", b"--", b"=", b"."),
    *(b"nan", b"-1", b"1e999", b"0.5", b"null", b"true", b"-Infinity", b"99999999999999999999"),
    *(b"../../x", b"/etc/passwd", b"..", b"<script>", b"\xff\xfe", b"\xe2\x80\xa8", b"9" * 5000),
)
_PLACE = st.integers(0, 2**20)
_EDIT = st.tuples(
    st.sampled_from(
        ("flip", "write", "insert", "replace", "cut", "drop", "clear", "swap", "repeat", "splice")
    ),
    _PLACE,
    _PLACE,
    st.sampled_from(TOKENS),
)


def damaged(content, others):
    """Content with one to four pieces of damage; or nothing at all.

    Args:
        content: bytes.
        others: bytes of files of other kinds, to splice in.
    """
    edits = st.lists(_EDIT, min_size=1, max_size=4)
    changed = st.builds(_apply, st.just(content), edits, st.sampled_from(others))
    return st.one_of(changed, changed, changed, st.just(b""))


def _apply(content, edits, other):
    data = bytearray(content)
    for kind, first, second, token in edits:
        at, to = sorted((first % (len(data) + 1), second % (len(data) + 1)))
        near = min(to, at + 1 + second % 16)
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << second % 8
        elif kind == "write":
            data[at : at + len(token)] = token
        elif kind == "insert":
            data[at:at] = token
        elif kind == "replace":
            data[at:near] = token
        elif kind == "cut":
            del data[to:]
        elif kind == "drop":
            del data[at:near]
        elif kind == "clear":
            data[at:to] = bytes(to - at)
        elif kind == "swap":
            middle = (at + to) // 2
            data[at:to] = data[middle:to] + data[at:middle]
        elif kind == "repeat":
            data[at:at] = data[at:to][:4096]
        elif kind == "splice":
            data[at:] = other[second % (len(other) + 1) :]
    return bytes(data)
