"""What is logged, made fit to be kept: JSON's own types, no secret, no caller's number, nothing that a terminal obeys.

Keys are hidden by the name of their field, by their shape, and by their value where it has been learned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

import msgspec
from structlog.typing import EventDict, Processor, WrappedLogger

from .core.masking import masked, masked_field, names_a_number
from .terminal import cut, shown

SECRET_FIELD = re.compile(r"(^|_)(authorization|api_?key|token|secret|password|passphrase|dtmf|digits?)$")
SECRET_SHAPE = re.compile(r"(?i)\b(token|bearer|basic)\s+(?=\S*\d)[\w.~+/=-]{12,}|(?<=://)[^/@\s]+(?=@)")
TRACEBACK = ("exception", "stack")  # the fields that keep their line ends
LONGEST = 2000  # characters of one value
LONGEST_NAME = 64  # characters of the end of a field's name that say what is in it
DEEPEST = 6  # levels of a nested value
A_NUMBER = 1e6  # no less is a caller's, where a field that is named for one holds an integer
REMEMBERED = 100  # keys; a command may make another one for each attempt, for months
HIDDEN = "***"


class Secrets:
    """The keys that must not be seen; `add` is what a Credential calls with each one it reads."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}
        self.learned = 0  # so many times; what was clean before may not be clean now

    def add(self, secret: str) -> None:
        if len(secret) >= 6:  # hiding every "a" would hide the log
            self._known.pop(secret, None)
            self._known[secret] = None
            self.learned += 1
            if len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]

    def hide(self, text: str) -> str:
        for secret in sorted(self._known, key=len, reverse=True):  # one may be the beginning of another
            text = text.replace(secret, HIDDEN)
        return SECRET_SHAPE.sub(HIDDEN, text) if " " in text or "@" in text or not text.isprintable() else text


def cleaner(secrets: Secrets) -> Processor:
    """A processor that leaves nothing in an event but JSON's own types, cleaned."""

    def fit(text: str, longest: int, lines: bool = False, number: bool = False) -> str:
        text = secrets.hide(text if text.isprintable() else shown(text, lines=lines))
        return cut(masked_field(text) if number else masked(text), longest)

    @lru_cache(REMEMBERED)
    def says(key: str, _learned: int) -> tuple[str, bool, bool]:
        """A field's name, and whether it says that a secret is in it, or a number."""
        name = fit(key, LONGEST)
        end = name[-LONGEST_NAME:].replace("-", "_")
        return name, SECRET_FIELD.search(end.lower()) is not None, names_a_number(end)

    def fields(held: Mapping[Any, Any], depth: int, number: bool = False) -> dict[str, Any]:
        cleaned = {}
        for key, value in held.items():
            name, secret, of_number = says(str(key)[:LONGEST], secrets.learned)
            lines = depth == DEEPEST and name in TRACEBACK
            cleaned[name] = HIDDEN if secret and value else clean(value, depth, lines, number or of_number)
        return cleaned

    def clean(value: Any, depth: int, lines: bool = False, number: bool = False) -> Any:
        if isinstance(value, str) and not isinstance(value, Enum):
            return fit(value, LONGEST * (8 if lines else 1), lines, number)
        if isinstance(value, Enum):
            return clean(value.value, depth, number=number)
        if number and isinstance(value, int | float) and abs(value) >= A_NUMBER:
            return masked_field(f"{value:.0f}")
        if value is None or isinstance(value, bool | float) or (isinstance(value, int) and -(2**63) <= value < 2**63):
            return value
        if isinstance(value, Mapping) and depth:
            return fields(value, depth - 1, number)
        if isinstance(value, list | tuple | set | frozenset) and depth:
            ordered = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
            return [clean(held, depth - 1, number=number) for held in ordered]
        if isinstance(value, msgspec.Struct) and depth:
            return clean(msgspec.structs.asdict(value), depth, number=number)
        if isinstance(value, bytes | bytearray):
            return clean(bytes(value).decode("utf-8", "replace"), depth, number=number)
        if isinstance(value, Mapping | list | tuple | set | frozenset | msgspec.Struct):
            return "…"  # too deep; as text it would show what the names of its fields hide
        try:
            return clean(str(value), depth, number=number)
        except Exception:  # a value whose own text is broken is no reason to lose the line
            return f"<{type(value).__name__}>"

    def process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return fields(event, DEEPEST)

    return process
