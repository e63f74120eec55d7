"""Each signal asks for an end that waits for less than the one before."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import pytest
import trio
import trio.testing

from supervisor.stopping import on_signals

TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP


def reached(numbers: Sequence[int], at_least: Mapping[int, int], stages: int = 3) -> list[int]:
    """The stages that these signals lead to, one after the other."""
    found: list[int] = []

    @contextmanager
    def signals() -> Iterator[AsyncIterator[int]]:
        async def each() -> AsyncIterator[int]:
            for number in numbers:
                await trio.sleep(1)
                yield number

        yield each()

    async def main() -> None:
        await on_signals([partial(found.append, stage) for stage in range(stages)], at_least=at_least, signals=signals)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return found


@pytest.mark.parametrize(
    "numbers, expected",
    [
        ([], []),
        ([TERM], [0]),
        ([TERM, TERM, TERM], [0, 1, 2]),
        ([INT], [1]),
        ([INT, INT], [1, 2]),
        ([TERM, INT], [0, 1]),
        ([TERM, INT, TERM], [0, 1, 2]),
        ([INT, TERM], [1, 2]),
        ([HUP, TERM], [0, 1]),
        ([TERM] * 5, [0, 1, 2, 2, 2]),
    ],
)
def test_a_service_drains_first_and_a_keyboard_does_not_wait_for_that(numbers: list[int], expected: list[int]) -> None:
    assert reached(numbers, {INT: 1}) == expected


def test_where_there_are_two_stages_the_second_signal_ends_all() -> None:
    assert reached([INT, TERM, INT], {}, stages=2) == [0, 1, 1]


@pytest.mark.parametrize("number", [TERM, INT, HUP])
def test_the_signals_of_this_process_are_caught_and_then_left_as_they_were(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    found: list[str] = []

    async def main() -> None:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                came = trio.Event()
                await nursery.start(partial(on_signals, [came.set, partial(found.append, "second")], at_least={}))
                os.kill(os.getpid(), number)
                await came.wait()
                nursery.cancel_scope.cancel()

    trio.run(main)

    assert found == []
    assert signal.getsignal(number) == before
