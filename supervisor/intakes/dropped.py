"""One dropped file's call: what it said, whether all of it was taken, and what becomes of the file."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ..core.plain import plain
from ..core.problem import Exit
from ..events import Event, SessionClosed, SessionOpened, Transcript
from ..sources.feed import End, Feed, Filled, Source
from . import Taken

MOVE_BACK = "move the file back to try again"
CONVERT = "drop it as WAV or FLAC, which say what they hold: ffmpeg makes one of it"


class Lines(Protocol):
    """One call's events as lines."""

    def line(self, event: Event) -> bytes: ...


def fate(
    taken: Taken, *, whole: bool, reached: bool, leaving: bool, advice: str = ""
) -> tuple[Literal["done", "failed", "wait"], str]:
    """What becomes of a file, and why.

    `whole`: its source was taken to its end. `reached`: a session was ever open. `leaving`: the service ends.

    >>> fate(Taken("complete"), whole=True, reached=True, leaving=False)
    ('done', '')
    >>> fate(Taken("gave_up", Exit.GAVE_UP), whole=False, reached=False, leaving=False)
    ('wait', 'the server was out of reach')
    """
    if taken.outcome == "refused":
        return "wait", ""  # for a place
    if taken.outcome == "complete" and taken.exit_code is Exit.OK and whole:
        return "done", ""
    if leaving and taken.problem is None and (not whole or taken.outcome in ("gave_up", "stopped")):
        return "wait", ""  # for the next start
    if taken.problem is not None:
        problem = taken.problem
        hint = CONVERT if "ffmpeg" in problem.hint else problem.hint  # which is for whoever can say how to read it
        return "failed", plain(f"{problem.cause}: {hint}" if hint else problem.cause, 1000)
    if taken.outcome == "gave_up":
        why = "the server was out of reach"
        return ("failed", f"{why} for too long: {MOVE_BACK}") if reached else ("wait", why)
    if taken.outcome == "aborted":
        return "failed", advice or "the transcription was aborted; the log says why"
    if taken.outcome == "failed":
        return "failed", f"an error of ours ended it; the log has it: {MOVE_BACK}"
    if whole:
        return "failed", f"some of its audio was not transcribed, and gaps say which: {MOVE_BACK}"
    return "failed", f"an operator ended it: {MOVE_BACK}"


def shown(name: str) -> str:
    """A file's name as text, whatever its bytes are.

    >>> shown("caf\\udce9.wav")
    'caf\\ufffd.wav'
    """
    return plain(os.fsencode(name).decode("utf-8", "replace"))


class Heard:
    """A call's transcript, in memory until it is whole: a crash leaves nothing of it that somebody could want."""

    def __init__(self, lines: Lines) -> None:
        self.lines: list[bytes] = []
        self.reached = False
        self.advice = ""  # of the closure that ended the call
        self.broken = ""
        self._lines = lines

    def hear(self, event: Event) -> None:
        self.reached = self.reached or isinstance(event, SessionOpened)
        if isinstance(event, SessionClosed):
            self.advice = plain(event.advice, 1000)
        if isinstance(event, Transcript) and not event.is_final:
            return
        try:
            self.lines.append(self._lines.line(event))
        except Exception as error:
            self.broken = f"an event of it cannot be written: {type(error).__name__}: {plain(str(error))}"


@dataclass
class Whole:
    """A source that remembers whether it was taken to its end: a call that is told to end leaves the rest of it."""

    source: Source
    over: bool = field(default=False, init=False)

    @property
    def label(self) -> str:
        return self.source.label

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Feed]:
        async with self.source.open() as feed:
            yield _Feed(feed, self)


class _Feed:
    def __init__(self, feed: Feed, whole: Whole) -> None:
        self.format, self.duration, self.live, self.warnings = feed.format, feed.duration, feed.live, feed.warnings
        self._feed, self._whole = feed, whole

    def take(self) -> bytes | Filled | End | None:
        taken = self._feed.take()
        if isinstance(taken, End):
            self._whole.over = True
        return taken
