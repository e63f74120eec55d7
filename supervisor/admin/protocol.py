"""What is said on the admin socket: a request is one line of JSON, and so is its answer, in the order they were asked.

Nothing here reads or writes. A request that is not understood to the last field is refused: a misspelled one that
drained the daemon in another way than was meant would be worse than none.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from ..control import CallView, Health
from ..core.plain import plain
from ..core.problem import Exit, Problem

LONGEST_REQUEST = 16 * 1024  # bytes of a line
LONGEST_ANSWER = 64 * 1024 * 1024
LONGEST_PATH = 107  # bytes of sun_path without its NUL (unix(7))


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="action"):
    """What every request has; `action` is the class's tag."""


class ListCalls(Request, frozen=True, tag="calls"):
    pass


class End(Request, frozen=True, tag="end"):
    call_id: str


class Pause(Request, frozen=True, tag="pause"):
    call_id: str


class Resume(Request, frozen=True, tag="resume"):
    call_id: str


class Drain(Request, frozen=True, tag="drain"):
    now: bool = False


class Reload(Request, frozen=True, tag="reload"):
    pass


class AskHealth(Request, frozen=True, tag="health"):
    pass


AnyRequest = ListCalls | End | Pause | Resume | Drain | Reload | AskHealth


class Answer(msgspec.Struct, tag_field="answer"):
    """What every answer has; `answer` is the class's tag. Fields may be added in any release."""


class Calls(Answer, tag="calls"):
    """Those there are; to a drain: those it waits for."""

    calls: Sequence[CallView]


class Done(Answer, tag="done"):
    pass


class UnknownCall(Answer, tag="unknown_call"):
    pass


class Reloaded(Answer, tag="reloaded"):
    faults: Sequence[str]  # of the config, which then was not taken up; none: done


class HealthIs(Answer, tag="health"):
    health: Health


class Refused(Answer, tag="refused"):
    """The request was not understood, which ends the connection, or could not be done."""

    why: str


AnyAnswer = Calls | Done | UnknownCall | Reloaded | HealthIs | Refused


class Malformed(Exception):
    """What came is not of this protocol; the text says why, on one line."""


Said = TypeVar("Said")
_requests: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)
_answers: msgspec.json.Decoder[AnyAnswer] = msgspec.json.Decoder(AnyAnswer)


def read_request(line: bytes) -> AnyRequest:
    """The request; raises Malformed.

    >>> read_request(b'{"action":"drain","now":true}')
    Drain(now=True)
    """
    return _read(_requests, line)


def read_answer(line: bytes) -> AnyAnswer:
    """The answer; raises Malformed."""
    return _read(_answers, line)


def _read(decoder: msgspec.json.Decoder[Said], line: bytes) -> Said:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(plain(str(error))) from None


def write(said: Request | Answer) -> bytes:
    """One line with its end, whatever is in it: where a name came from bytes that are no text, it has a ? for each.

    >>> write(Pause("\\udcff"))
    b'{"action":"pause","call_id":"?"}\\n'
    """
    try:
        return msgspec.json.encode(said) + b"\n"
    except UnicodeEncodeError:
        return msgspec.json.encode(_spelled(msgspec.to_builtins(said))) + b"\n"


def _spelled(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_spelled(key): _spelled(held) for key, held in value.items()}
    return [_spelled(held) for held in value] if isinstance(value, list | tuple) else value


class Lines:
    """Cuts what arrives into lines. What is left at the end was no line, and nobody acts on it."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._held = bytearray()
        self._searched = 0  # of what is held: a long line that comes in pieces is not searched from its start again

    def feed(self, data: bytes | bytearray) -> None:
        self._held += data

    def next(self) -> bytes | None:
        """A line without its end, or None until there is more; raises Malformed for one that is too long."""
        end = self._held.find(b"\n", self._searched)
        if (len(self._held) if end < 0 else end) > self._longest:
            raise Malformed(f"a line is longer than {self._longest} bytes")
        if end < 0:
            self._searched = len(self._held)
            return None
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        self._searched = 0
        return line

    @property
    def torn(self) -> bool:
        """The beginning of a line has come, and its end has not."""
        return bool(self._held)


def check_path(path: str) -> str:
    """The path, if a unix socket can have it; raises Problem."""
    if not path or "\0" in path:
        raise Problem("the path of the admin socket is empty" if not path else "the path of the admin socket holds a NUL",
                      "give another", Exit.CONFIG)  # fmt: skip
    if (size := len(os.fsencode(path))) > LONGEST_PATH:
        raise Problem(
            f"the path of the admin socket has {size} bytes", f"a unix socket's has at most {LONGEST_PATH}", Exit.CONFIG
        )
    return path
