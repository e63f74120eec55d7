"""What every source gives: one call's audio, pulled by whoever wants it, and never waited for.

A source is *pulled*: a task woken for every packet costs three times what all the rest of a call does, so the call
asks at its own tick for all that has come. Nothing here waits, and nothing is pushed.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..core.audio import AudioFormat
from ..core.problem import Problem


@dataclass(frozen=True, slots=True)
class End:
    """No more audio will come; `problem` is set when the source died rather than ended."""

    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Filled:
    """So many sample frames of silence have passed, as the source knows (from timestamps); they count as heard."""

    frames: int


class Feed(Protocol):
    """An open source."""

    format: AudioFormat
    duration: float | None  # seconds of audio in all, where the source knows
    live: bool  # cannot be made to wait: what is not taken is lost, here or further up
    warnings: list[str]  # what is suspicious about the audio, one line each; grows as audio comes, final after End

    def take(self) -> bytes | Filled | End | None:
        """What has come since the last time; never waits, never raises.

        Audio: never empty, of any number of bytes, a sample frame may be cut in two. Live: all that has come;
        otherwise at most 100 ms. None: no more for now, be it that nothing has come since the last time or that all
        of it was given then. End: nothing ever will come, however often it is asked.
        """
        ...


@runtime_checkable
class Hesitant(Protocol):
    """A feed that may hold back what has come, until it knows where on the call's clock that belongs."""

    def settle(self) -> None:
        """Decide now: what has come until this moment is all in the takes that follow."""
        ...


class Source(Protocol):
    """Where one call's audio comes from."""

    @property
    def label(self) -> str:
        """What events call it: "file:call.wav", "stdin", "fifo:/run/line-1.pcm", "command:ffmpeg"."""
        ...

    def open(self) -> AbstractAsyncContextManager[Feed]:
        """Open it for as long as the context lasts; leaving it ends what it started: tasks, descriptors, processes.

        Raises Problem: 66 where there is nothing to read, 65 where it is not audio, 64 where more must be said.
        Waits for the first audio where only that can tell the format. Errors of the context's body pass unwrapped.
        """
        ...
