"""Where the events of calls go."""

from __future__ import annotations

from typing import Protocol

import trio

from supervisor.events import Event


class Sink(Protocol):
    """Takes events at once, into an outbox, and writes them in a task of its own.

    Nothing that a sink writes to can hold up a call: `offer` neither waits nor fails. One sink may serve one call or
    many. What it gives up it tells its owner (`outbox.Owner`), where it has one.
    """

    name: str  # in logs and metrics

    def offer(self, event: Event) -> None:
        """Accepted means: in the outbox. Interims are superseded and given up; everything else is kept until written, or
        goes to the owner when the outbox is full."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Writes until all is written after `close`. Raises Problem (exit OUTPUT) when the output fails for good."""

    def close(self) -> None:
        """Nothing more will be offered."""

    @property
    def backlog(self) -> int:
        """The events accepted and not yet written."""

    def undelivered(self) -> list[Event]:
        """Those same events, in order: for a last resort, once `run` has ended."""
