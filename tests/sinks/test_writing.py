"""What is tried again, for how long, and what is said of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import pytest
import trio
import trio.testing

from supervisor.core.problem import Exit, Problem
from supervisor.events import Event
from supervisor.sinks.outbox import Outbox
from supervisor.sinks.writing import FULL, PASSING, CallBroken, Written, at_once, not_written, write_out
from tests.sinks.making import Log, guessed, said

T = TypeVar("T")
FINALS = [said(str(number), segment=number) for number in range(5)]


def simulated(main: Callable[[], Awaitable[T]]) -> T:
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


class Output:
    """Takes events, unless there is something in its way."""

    def __init__(self, failure: int | None = None, *, takes: int = 0) -> None:
        self.events: list[Event] = []
        self.failure = failure
        self.takes = takes  # before it fails, each time
        self.tries: list[float] = []

    def write(self, events: Sequence[Event]) -> Written:
        self.tries.append(trio.current_time())
        if self.failure is None:
            self.events += events
            return len(events), None
        self.events += events[: self.takes]
        return len(events[: self.takes]), OSError(self.failure, os.strerror(self.failure), "/disk/file")


def writing(
    outbox: Outbox, output: Output, log: Log, *, patience: float = 30, committed: Callable[[Event], None] = lambda _: None
) -> Callable[[], Awaitable[None]]:
    return partial(
        write_out, outbox, output.write, log=log.log, in_thread=at_once, patience=patience, passing=FULL,
        committed=committed,
    )  # fmt: skip


def test_a_disk_that_is_full_for_an_hour_loses_nothing_and_is_told_of_twice() -> None:
    outbox, output, log = Outbox(), Output(errno.ENOSPC, takes=1), Log()
    committed: list[Event] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writing(outbox, output, log, committed=committed.append))
            for event in FINALS:
                outbox.offer(event)
                await trio.sleep(0.1)
            output.takes = 0
            await trio.sleep(3600)
            output.failure = None
            await trio.sleep(2)
            outbox.close()

    simulated(main)

    assert output.events == FINALS
    assert committed == FINALS
    assert log.names == ["output_stuck", "output_works_again"]
    assert (log.entries[0]["path"], log.entries[0]["hint"]) == ("/disk/file", "free some space there")
    assert max(b - a for a, b in zip(output.tries, output.tries[1:], strict=False)) <= 1.0
    assert len(output.tries) < 3700


def test_after_the_call_a_full_disk_is_given_its_patience_and_then_it_is_said_how_much_is_lost() -> None:
    outbox, output, log = Outbox(), Output(errno.ENOSPC), Log()

    async def main() -> float:
        for event in FINALS:
            outbox.offer(event)
        outbox.close()
        begin = trio.current_time()
        with pytest.raises(Problem, match=r"cannot write the transcript to /disk/file: No space.*5 events") as failed:
            await writing(outbox, output, log, patience=30)()
        assert failed.value.exit_code is Exit.OUTPUT
        return trio.current_time() - begin

    assert simulated(main) == 30
    assert outbox.events() == FINALS


def test_a_disk_that_gets_space_within_the_patience_is_written_to() -> None:
    outbox, output, log = Outbox(), Output(errno.EDQUOT), Log()

    async def main() -> None:
        outbox.offer(FINALS[0])
        outbox.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writing(outbox, output, log, patience=30))
            await trio.sleep(29.5)
            output.failure = None

    simulated(main)

    assert output.events == FINALS[:1]


@pytest.mark.parametrize("failure", [errno.EPIPE, errno.EACCES, errno.EROFS, errno.EBADF, errno.EIO])
def test_what_does_not_pass_is_not_tried_again(failure: int) -> None:
    """EIO passes for files alone: see PASSING."""
    outbox, output, log = Outbox(), Output(failure, takes=2), Log()

    async def main() -> None:
        for event in FINALS:
            outbox.offer(event)
        with pytest.raises(Problem, match=r"3 events are not written") as failed:
            await writing(outbox, output, log)()
        assert failed.value.exit_code is Exit.OUTPUT

    simulated(main)

    assert outbox.events() == FINALS[2:]
    assert len(output.tries) == 1


def test_a_disk_that_stumbles_passes_for_files() -> None:
    assert FULL | {errno.EIO, errno.EMFILE} <= PASSING
    assert errno.EPIPE not in PASSING


def test_while_it_is_stuck_guesses_do_not_pile_up() -> None:
    outbox, output, log = Outbox(), Output(errno.ENOSPC), Log()

    async def main() -> int:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writing(outbox, output, log))
            for second in range(2_000):
                outbox.offer(guessed(f"{second} a"))
                outbox.offer(guessed(f"{second} b"))
                await trio.sleep(1)
            waiting = len(outbox)
            nursery.cancel_scope.cancel()
        return waiting

    assert simulated(main) <= 501  # a batch that is lent, and the latest


def test_what_is_wrong_with_one_call_is_the_outputs_end_where_nobody_refuses_calls() -> None:
    outbox = Outbox()
    for event in FINALS:
        outbox.offer(event)
    broken = CallBroken("c", Problem("its line cannot be written", "", Exit.BUG))

    async def main() -> None:
        with pytest.raises(Problem, match="its line cannot be written"):
            await write_out(
                outbox, lambda _: (2, broken), log=Log().log, in_thread=at_once, patience=30, passing=FULL,
                committed=lambda _: None,
            )  # fmt: skip

    simulated(main)

    assert outbox.events() == FINALS[2:]


def test_cancelled_in_the_middle_it_has_lost_nothing() -> None:
    """What was lent and not written is still there for the last resort."""
    outbox = Outbox()
    for event in FINALS:
        outbox.offer(event)

    async def never(_job: Callable[[], T]) -> T:
        await trio.sleep_forever()
        raise AssertionError

    async def main() -> None:
        with trio.move_on_after(1):
            await write_out(
                outbox, Output().write, log=Log().log, in_thread=never, patience=30, passing=FULL,
                committed=lambda _: None,
            )  # fmt: skip

    simulated(main)

    assert outbox.events() == FINALS


def test_the_line_for_a_failure_names_the_place_the_reason_and_the_fix() -> None:
    error = OSError(errno.EROFS, os.strerror(errno.EROFS), "/mnt/x")

    assert str(not_written(error)) == (
        "cannot write the transcript to /mnt/x: Read-only file system: "
        "choose a directory on a file system that can be written to"
    )
    assert "\n" not in str(not_written(OSError("no number"), 3))
