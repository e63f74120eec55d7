"""How values are spelt: a TOML value or KEY=VALUE becomes the strings that go on the wire.

Deepgram wants booleans in lower case, numbers in plain digits and a list as its key repeated. Whoever writes TOML has
true and 1000 for them; whoever writes a command line has only text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NoReturn

from ..plain import plain
from ..problem import Problem
from .parameters import KNOWN, Parameter

Value = str | bool | int | float | Sequence[str | bool | int | float]


def options_from(arguments: Iterable[str]) -> dict[str, Value]:
    """The options of a command line: each KEY=VALUE, a repeated key as a list.

    >>> options_from(["model=nova-3", "keyterm=Acme", "keyterm=a=b"])
    {'model': 'nova-3', 'keyterm': ['Acme', 'a=b']}
    """
    values: dict[str, list[str]] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key.strip():
            raise Problem(f'--option "{plain(argument, 60)}" is not KEY=VALUE', "such as --option language=de")
        values.setdefault(key.strip(), []).append(value)
    return {key: found[0] if len(found) == 1 else found for key, found in values.items()}


def wire(key: str, value: object) -> list[str]:
    """The strings to send for a key; raises Problem where a known parameter cannot have that value.

    >>> wire("smart_format", True), wire("tag", ["a", "b"]), wire("utterance_end_ms", "1500")
    (['true'], ['a', 'b'], ['1500'])
    """
    values: Sequence[object] = value if isinstance(value, list | tuple) else (value,)
    parameter = KNOWN.get(key)
    if not values:
        raise Problem(f"{plain(key, 40)} is an empty list", "leave it out")
    if parameter and len(values) > 1 and not parameter.many:
        raise Problem(f"{key} is given {len(values)} times", "it takes one value")
    if parameter and parameter.most and len(values) > parameter.most:
        raise Problem(f"{key} is given {len(values)} times", f"Deepgram takes at most {parameter.most}")
    return [_one(key, each, parameter) for each in values]


def _one(key: str, value: object, parameter: Parameter | None) -> str:
    text = _text(key, value)
    if parameter is None:
        return text
    text = text.strip()
    shown = f"{key}={plain(text, 60)}"
    if not text:
        raise Problem(f"{key} is empty", "leave it out, or give it a value")
    if parameter.kind == "boolean":
        return _boolean(text) or _wrong(shown, "write true or false")
    if parameter.kind == "whole number":
        return _whole_number(text, parameter.least) or _wrong(shown, f"write a whole number, {parameter.least} or more")
    if parameter.kind == "boolean or whole number":
        return _boolean(text) or _whole_number(text, 0) or _wrong(shown, "write milliseconds in digits, or false")
    if parameter.kind == "choice":
        repeat = "; repeat the key for more than one" if parameter.many else ""
        fix = f"write one of {', '.join(parameter.choices)}{repeat}{parameter.note}"
        return text.lower() if text.lower() in parameter.choices else _wrong(shown, fix)
    if isinstance(value, bool):
        _wrong(shown, "it is a text, not true or false")
    if parameter.longest and len(text) > parameter.longest:
        _wrong(shown, f"{len(text)} characters; Deepgram takes at most {parameter.longest}")
    if parameter.pair and (":" not in text or text.startswith(":")):
        _wrong(shown, f"write {parameter.pair}")
    return text


def _text(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise Problem(
            f"{plain(key, 40)} has a value of type {type(value).__name__}",
            "write a text, a number, true, false or a list of them",
        )
    text = str(value)
    if any("\ud800" <= character <= "\udfff" for character in key + text):  # from an argument that was no UTF-8
        raise Problem(f"{plain(key, 40)} is not valid UTF-8", "write it in UTF-8")
    return text


def _boolean(text: str) -> str:
    return text.lower() if text.lower() in ("true", "false") else ""


def _whole_number(text: str, least: int) -> str:
    good = re.fullmatch(r"[0-9]{1,9}", text) and int(text) >= least
    return str(int(text)) if good else ""


def _wrong(shown: str, fix: str) -> NoReturn:
    raise Problem(shown, fix)
