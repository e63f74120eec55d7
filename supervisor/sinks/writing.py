"""From an outbox to whatever takes its events: what is tried again, and when it is given up."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import trio
from structlog.typing import FilteringBoundLogger

from supervisor.core.problem import Exit, Problem
from supervisor.events import Event
from supervisor.sinks.encoding import Lines
from supervisor.sinks.outbox import Outbox

# What may pass, by itself or by what an operator does about it. Anything else would fail for ever.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
PASSING = FULL | {errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
RETRY_EVERY = 1.0  # seconds
FIXES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "raise the quota, or free some space there",
    errno.EPIPE: "nobody reads the output any more",
    errno.EACCES: "give this user the right to write there",
    errno.EPERM: "give this user the right to write there",
    errno.EROFS: "choose a directory on a file system that can be written to",
    errno.ELOOP: "it is a symbolic link: remove it",
    errno.EISDIR: "it is a directory: name a file",
    errno.ENOENT: "make the directory first",
    errno.ENXIO: "nobody has opened this FIFO for reading",
    errno.EFBIG: "it is as large as a file may be here",
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CallBroken:
    """What keeps one call's events back for good, and nobody else's."""

    call_id: str
    problem: Problem


Written = tuple[int, OSError | CallBroken | None]  # how many of the events are out, and what kept the next one back


class InThread(Protocol):
    def __call__(self, job: Callable[[], T]) -> Awaitable[T]: ...


class OneThread:
    """Runs jobs one at a time beside the event loop. One that hangs is left behind when its caller is cancelled."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(1)

    async def __call__(self, job: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(job, limiter=self._limiter, abandon_on_cancel=True)


async def at_once(job: Callable[[], T]) -> T:
    """In place of a thread, where a simulated clock must not run ahead of one."""
    await trio.lowlevel.checkpoint()
    return job()


async def write_out(
    outbox: Outbox,
    write: Callable[[Sequence[Event]], Written],
    *,
    log: FilteringBoundLogger,
    in_thread: InThread,
    patience: float,
    passing: Set[int],
    committed: Callable[[Event], None],
    refuse: Callable[[str, Problem], None] | None = None,
) -> None:
    """Returns once everything is written after the outbox was closed.

    An output that is full is tried again every second for as long as the call runs, and for `patience` seconds after
    that. Raises Problem (exit OUTPUT) when that is over, and at once for an error that is not in `passing`. What is
    wrong with one call alone is for `refuse`, which takes the call's events out of the outbox.
    """
    last_chance: float | None = None
    stuck = False
    while True:
        events = outbox.take()
        if not events:
            if outbox.closed:
                return
            await outbox.wait()
            continue
        count, error = await in_thread(partial(write, events))
        for event in events[:count]:
            committed(event)
        outbox.written(count)
        if isinstance(error, CallBroken):
            if refuse is None:
                raise error.problem
            refuse(error.call_id, error.problem)
            continue
        if error is None:
            if stuck:
                log.info("output_works_again", backlog=len(outbox))
            stuck = False
            continue
        if error.errno not in passing:
            raise not_written(error, len(outbox))
        if not stuck:
            log.error("output_stuck", reason=error.strerror, path=error.filename, hint=FIXES.get(error.errno or 0, ""))
        stuck = True
        if outbox.closed:
            last_chance = last_chance or trio.current_time() + patience
            if trio.current_time() >= last_chance:
                raise not_written(error, len(outbox))
        await trio.sleep(RETRY_EVERY)


def encoded(lines: Lines, events: Sequence[Event]) -> tuple[list[bytes], CallBroken | None]:
    """A line for each event, up to the first that cannot be told: a bug of ours, which costs its own call alone."""
    done: list[bytes] = []
    for event in events:
        try:
            done.append(lines.line(event))
        except Exception as error:
            cause = f"an event of this call ({type(event).__name__}) cannot be written: {type(error).__name__}"
            return done, CallBroken(event.call_id, Problem(cause, "this is a bug of ours", Exit.BUG))
    return done, None


def not_written(error: OSError, events: int = 0) -> Problem:
    """The one line for an output that failed."""
    where = f" to {error.filename}" if error.filename else ""
    lost = f" ({events} events are not written)" if events else ""
    fix = FIXES.get(error.errno or 0, "choose another place for it")
    return Problem(f"cannot write the transcript{where}: {error.strerror or error}{lost}", fix, Exit.OUTPUT)
