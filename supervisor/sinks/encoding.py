"""One event as one line: of JSON, or of text."""

from __future__ import annotations

import re
from typing import Literal, Protocol

import msgspec

from supervisor.events import Event
from supervisor.sinks.text import TextLines

Form = Literal["jsonl", "text"]
ENDINGS: dict[Form, str] = {"jsonl": ".jsonl", "text": ".txt"}


class Lines(Protocol):
    def line(self, event: Event) -> bytes:
        """One line with its newline, or nothing. The same event gives the same line again."""

    def forget(self, call_id: str) -> None:
        """No event of this call will follow."""


class JsonLines:
    def line(self, event: Event) -> bytes:
        return json_line(event)

    def forget(self, call_id: str) -> None:
        pass


def lines_of(form: Form) -> Lines:
    return JsonLines() if form == "jsonl" else TextLines()


LINE_ENDS = re.compile(rb"[\r\n]+")
# DEL, the C1 controls and the marks of direction need no escape in JSON, but a terminal would obey them.
UNSAFE = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]")


def json_line(event: Event) -> bytes:
    """The event, on one line that ends in a newline, whatever is in it."""
    try:
        data = msgspec.json.encode(event)
    except UnicodeEncodeError:  # a lone surrogate, as undecodable bytes of a command line become
        data = msgspec.json.encode(_encodable(event))
    # A server's own message, kept raw, may be spread over lines; inside a string a line end is always escaped.
    return UNSAFE.sub(_escaped, LINE_ENDS.sub(b" ", data)) + b"\n"


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, msgspec.Struct):
        return type(value)(**{name: _encodable(getattr(value, name)) for name in value.__struct_fields__})
    if isinstance(value, dict):
        return {_encodable(key): _encodable(held) for key, held in value.items()}
    if isinstance(value, list):
        return [_encodable(held) for held in value]
    return value
