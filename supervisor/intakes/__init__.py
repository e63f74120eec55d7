"""Servers that bring calls: each turns what connects to it, or is dropped into it, into a source with a name.

An intake knows how calls arrive and nothing of what becomes of them. It never pushes back: what telephony sends is
taken as it comes, by the call's own tick once the call runs, and to its end even if nobody wants the call any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import trio

from ..config import IntakeConfig
from ..core.options.spelling import Value
from ..core.problem import Exit, Problem
from ..events import Event
from ..sources.feed import Source

Rejection = Literal["address", "full", "malformed", "timeout", "failed"]
REJECTIONS: tuple[Rejection, ...] = ("address", "full", "malformed", "timeout", "failed")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call that an intake brings."""

    call_id: str
    source: Source
    metadata: Mapping[str, str] = field(default_factory=dict)
    labels: Sequence[str] = ()  # of the channels
    options: Mapping[str, Value] = field(default_factory=dict)  # over those of the intake
    realtime: bool = False  # take a source that can wait no faster than it was spoken
    hear: Callable[[Event], None] | None = None  # gets the call's events too; may not wait, and never raises


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an arrival."""

    outcome: Literal["complete", "aborted", "gave_up", "stopped", "refused", "failed"]  # of call_ended, or there was none
    exit_code: Exit = Exit.OK
    problem: Problem | None = None


class Reception(Protocol):
    """What an intake sees of the daemon."""

    def refusal(self) -> str:
        """Why no call can be taken now, for a log: "draining", "100 of 100 calls"; empty: come in."""
        ...

    async def take(self, arrival: Arrival) -> Taken:
        """Run the call to its end. Raises nothing but Cancelled. A name that a running call has gets a number added."""
        ...

    def rejected(self, reason: Rejection, **details: object) -> None:
        """One that did not become a call, or a call that its peer has spoiled: counted, and logged in one line."""
        ...


class Intake(Protocol):
    """Runs from its opening until it is closed and its last connection has gone."""

    config: IntakeConfig  # another one of the same kind and place may be put here; it is for whoever comes then

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Started (with the address it listens at, or the directory it watches) once it can take calls.

        Raises Problem before that, where it cannot open; afterwards nothing but Cancelled, and even then it takes
        leave of every connection it has.
        """
        ...

    def close(self) -> None:
        """Let nobody in any more. The calls that run go on."""
        ...
