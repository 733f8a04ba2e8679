"""CLIP's tokenizer: lower-case byte-pair encoding over 49,408 tokens (Radford et al. 2021).

Every UTF-8 byte is written as one printable character; a word starts as its bytes, the last one
marked as the word's end, and the pair of neighbours that stands first in the list of merges is
joined until no pair of the list is left (Sennrich et al. 2016).
"""

import functools
import gzip
import html
import itertools
import pathlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32

_MERGES_PATH = pathlib.Path(__file__).parent / "vocabulary" / "merges.txt.gz"
_WORD_END = "</w>"
_CONTRACTIONS = re.compile(r"'(?:s|t|re|ve|m|ll|d)")


def tokenize(texts: Sequence[str], context_length: int = 77) -> Int32[np.ndarray, "n length"]:
    """Token rows as the text tower wants them.

    Args:
        texts: any strings; case, line breaks and runs of blanks make no difference. open_clip's
            repair of wrongly decoded text (`ftfy`) is not done: give proper Unicode.
        context_length: tokens per row.

    Returns:
        One row per text: start token, the text, end token, zeros. A text that is too long loses
        its end, not the end token, as in open_clip.
    """
    ids, ranks = _vocabulary()
    start, end = len(ids), len(ids) + 1
    rows = np.zeros((len(texts), context_length), np.int32)
    for row, text in zip(rows, texts):
        body = [
            ids[part]
            for word in split_words(text)
            for part in _byte_pairs(word.encode("utf-8"), ranks)
        ]
        tokens = [start, *body[: context_length - 2], end]
        row[: len(tokens)] = tokens
    return rows


def split_words(text: str) -> list[str]:
    """The pieces of a text that are encoded one by one, in lower case.

    English contractions, runs of letters, single digits and runs of anything else that is not
    blank; a contraction is looked for wherever a piece starts.
    """
    text = html.unescape(html.unescape(text)).lower()
    words = []
    position = 0
    while position < len(text):
        kind = _kind(text[position])
        if contraction := _CONTRACTIONS.match(text, position):
            stop = contraction.end()
        elif kind == "number":
            stop = position + 1
        else:
            run = itertools.takewhile(lambda c: _kind(c) == kind, text[position:])  # noqa: B023
            stop = position + sum(1 for _ in run)
        if kind != "blank":
            words.append(text[position:stop])
        position = stop
    return words


def _kind(character: str) -> str:
    if character.isspace():
        return "blank"
    category = unicodedata.category(character)
    return {"L": "letter", "N": "number"}.get(category[0], "other")


def _byte_pairs(word: bytes, ranks: dict[tuple[str, str], int]) -> list[str]:
    symbols = _byte_symbols()
    parts = [symbols[byte] for byte in word]
    parts[-1] += _WORD_END
    while len(parts) > 1:
        best = min(itertools.pairwise(parts), key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        merged = []
        for part in parts:
            if merged and (merged[-1], part) == best:
                merged[-1] += part
            else:
                merged.append(part)
        parts = merged
    return parts


@functools.cache
def _byte_symbols() -> dict[int, str]:
    """A printable character for every byte, in the order in which the vocabulary numbers them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    symbols = {byte: chr(byte) for byte in printable}
    symbols.update({byte: chr(256 + index) for index, byte in enumerate(others)})
    return symbols


@functools.cache
def _vocabulary() -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """Token numbers by symbol, and the ranks of the merges.

    Start and end token follow the last one.
    """
    with gzip.open(_MERGES_PATH, "rt", encoding="utf-8") as file:
        # Not `splitlines`: some symbols are line separators to it.
        merges = [tuple(line.split(" ")) for line in file.read().rstrip("\n").split("\n")]
    single = list(_byte_symbols().values())
    symbols = [*single, *(symbol + _WORD_END for symbol in single), *map("".join, merges)]
    ids = {symbol: index for index, symbol in enumerate(symbols)}
    ranks = {(first, second): rank for rank, (first, second) in enumerate(merges)}
    return ids, ranks
