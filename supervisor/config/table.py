"""A TOML table read into a frozen dataclass: the fields are the keys, their types what is accepted.

Nothing here raises for what a person has written. Every fault becomes a line that names the key, what was found and
what is wanted, and the field's default stands in for it, so that the rest is checked too.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from supervisor.core.plain import plain
from supervisor.core.problem import Exit, Problem
from supervisor.credential import without_keys

T = TypeVar("T")
Reader = Callable[[object], object]  # raises Unwanted


class Unwanted(Exception):
    """The value is not what is wanted; the text says what would be."""


class WrongConfig(Problem):
    """All that is wrong with a config, one line each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)), exit_code=Exit.CONFIG)
        self.problems = tuple(problems)


class Faults:
    """What has been found so far, in order."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def add(self, key: str, cause: str, hint: str) -> None:
        self.problems.append(Problem(f"{self.file}: {f'{key} ' if key else ''}{cause}", hint, Exit.CONFIG))

    def also(self, key: str, problem: Problem) -> None:
        """A fault that another part has found, put where it belongs."""
        self.problems.append(Problem(f"{self.file}: {key}: {problem.cause}", problem.hint, Exit.CONFIG))

    def has(self, key: str) -> bool:
        """Whether the key's own value is at fault, so that what follows from it need not be told."""
        return any(problem.cause.startswith(f"{self.file}: {key} ") for problem in self.problems)


def read(
    cls: type[T],
    table: Mapping[str, object],
    at: str,
    faults: Faults,
    *,
    readers: Mapping[str, Reader] = types.MappingProxyType({}),
    elsewhere: Mapping[str, str] = types.MappingProxyType({}),
) -> T | None:
    """The dataclass, or None where a key without a default is missing or wrong.

    `at` is how the table is called in messages. `readers` take the place of a field's type; `elsewhere` says in which
    table a key lives that is unknown in this one.
    """
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            faults.add(f"{at} {_key(key)}", "is not a key of this table", nearest(key, list(fields), elsewhere))
    values: dict[str, object] = {}
    whole = True
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if name not in table:
            if needed:
                faults.add(at, f"has no {name}", f"it must have one: {wanted(hints[name])}")
                whole = False
            continue
        try:
            values[name] = (readers.get(name) or reader_of(hints[name]))(table[name])
        except Unwanted as unwanted:
            found = "something else" if name == "api_key" else found_as(table[name])  # it may be the key itself
            faults.add(f"{at} {name}", f"is {found}", f"it must be {unwanted}")
            whole = whole and not needed
    return cls(**values) if whole else None


def nearest(key: str, known: Sequence[str], elsewhere: Mapping[str, str]) -> str:
    if key in elsewhere:
        return f"it belongs into {elsewhere[key]}"
    near = get_close_matches(key, known, 1, 0.6)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


def _key(key: str) -> str:
    return plain(without_keys(key), 60) or '""'


def found_as(value: object) -> str:
    """What was found, for a message.

    >>> found_as("ten"), found_as(True), found_as([1])
    ('"ten" (a text)', 'true', 'a list')
    """
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{without_keys(plain(value, 60))}" (a text)'
        case int() if not fits(value):  # Python refuses to write it out, where it is long enough
            return "a number of more than 19 digits"
        case int() | float():
            return f"{value:.15g}" if isinstance(value, float) else str(value)
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or a time"


def reader_of(hint: Any) -> Reader:
    """What turns TOML's value into the field's; raises Unwanted."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (only,) = (argument for argument in arguments if argument is not type(None))
        return reader_of(only)

    def reader(value: object) -> object:
        if origin is Literal and value in arguments and isinstance(value, str):
            return value
        if origin is tuple and isinstance(value, list):
            each = reader_of(arguments[0])
            return tuple(_inside(each, held, hint) for held in value)
        if origin is not None and _is_mapping(origin) and isinstance(value, dict):
            if arguments[1] is not str:  # options: what they may be is known where they are checked
                return dict(value)
            each = reader_of(arguments[1])
            return {key: _inside(each, held, hint) for key, held in value.items()}
        if hint is str and isinstance(value, str) and value.strip() and "\0" not in value:
            return value
        if hint is bool and isinstance(value, bool):
            return value
        if hint is int and isinstance(value, int) and not isinstance(value, bool) and fits(value):
            return value
        if hint is float and isinstance(value, int | float) and not isinstance(value, bool) and _finite(value):
            return float(value)
        raise Unwanted(wanted(hint))

    return reader


def _inside(reader: Reader, value: object, hint: Any) -> object:
    try:
        return reader(value)
    except Unwanted:
        raise Unwanted(f"{wanted(hint)}, and {found_as(value)} is in it") from None


def _is_mapping(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _finite(value: float) -> bool:
    return math.isfinite(value) if isinstance(value, float) else fits(value)


def fits(value: int) -> bool:
    """Whether TOML promises that a whole number of this size can be read at all."""
    return -(2**63) <= value < 2**63


def wanted(hint: Any) -> str:
    """A field's type in words.

    >>> wanted(Literal["a", "b"]), wanted(tuple[str, ...])
    ('"a" or "b"', 'a list of texts')
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return wanted(next(argument for argument in arguments if argument is not type(None)))
    if origin is Literal:
        return " or ".join(f'"{choice}"' for choice in arguments)
    if origin is tuple:
        return "a list of texts"
    if origin is not None and _is_mapping(origin):
        return "a table of texts" if arguments[1] is str else "a table"
    words = {str: "a text in quotes, not empty", bool: "true or false", int: "a whole number", float: "a number"}
    return words[hint]
