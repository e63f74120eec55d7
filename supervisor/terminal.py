"""Text from elsewhere, made fit for a terminal without losing a letter of any language.

Escape sequences, which could rewrite the screen, go whole, and so do marks that turn the reading order around. The
joiners that Persian and emoji are written with stay: that is the difference from `core.plain`, which makes any text
fit for a mention in a message.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import accumulate

# A CSI or a string sequence goes whole; an unterminated one loses its introducer only, so that it hides nothing. None
# reaches over another's introducer: looking for the end of each of many would take the square of their number.
SEQUENCES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\\\|\x9c)"
    "|\x1b[ -/]*[0-~]?"
)
SPACES = re.compile("[\t\n\v\f\r\x85\u2028\u2029]+")
CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
SURROGATES = re.compile("[\ud800-\udfff]")


def shown(text: str, *, lines: bool = False) -> str:
    """The text without control characters, escape sequences and marks of direction, on one line unless `lines`.

    >>> shown("\\x1b[31mred\\x1b[0m\\r\\nand \\x9b2Jblank\\x07")
    'red and blank'
    >>> shown("one\\ntwo\\x00", lines=True)
    'one\\ntwo'
    """
    if lines:
        return "\n".join(shown(line) for line in text.split("\n"))
    text = SPACES.sub(" ", SEQUENCES.sub("", text))
    return SURROGATES.sub("\N{REPLACEMENT CHARACTER}", CONTROLS.sub("", text))


def cut(text: str, longest: int) -> str:
    """The text, or as much of it as fits, with a mark that there was more.

    >>> cut("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= longest else text[: longest - 1] + "…"


def columns(text: str) -> list[int]:
    """How many columns of a terminal the text has taken after each of its characters.

    >>> columns("a漢e\u0301")
    [1, 3, 4, 4]
    """
    return list(accumulate(map(_width, text)))


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, width: int) -> str:
    """As much of the text's beginning as `width` columns hold.

    >>> fitted("漢漢漢", 5)
    '漢漢'
    """
    return text[: sum(taken <= width for taken in columns(text))]
