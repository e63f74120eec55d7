"""One clock for all calls: ticks are integers, a missed one is skipped, and nobody waiting costs nothing."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from supervisor.grid import PERIOD, PHASES, TICK, Grid


class Steps(trio.abc.Instrument):
    """Counts how often each task was run."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.of[task.name] = self.of.get(task.name, 0) + 1


def with_grid(main: Callable[[Grid], Awaitable[None]], *, jump: float = 0.0, steps: Steps | None = None) -> None:
    """Run `main` beside a grid that was made at `jump` seconds, on a clock that jumps."""
    clock = MockClock(autojump_threshold=0)

    async def run() -> None:
        clock.jump(jump)
        grid = Grid()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(grid.run, name="grid")
            await main(grid)
            nursery.cancel_scope.cancel()

    trio.run(run, clock=clock, instruments=[steps] if steps else [])


@pytest.mark.parametrize("phase", range(PHASES))
def test_a_phase_rings_each_fifth_tick(phase: int) -> None:
    rung: list[float] = []

    async def main(grid: Grid) -> None:
        for _ in range(4):
            await grid.next(phase)
            rung.append(trio.current_time())

    with_grid(main)
    first = phase or PHASES  # a tick whose time has come is over, the very first too

    assert [pytest.approx((first + n * PHASES) * TICK) for n in range(4)] == rung


def test_a_phase_does_not_drift_in_ten_minutes() -> None:
    async def main(grid: Grid) -> None:
        for _ in range(6_000):
            await grid.next(2)

        assert pytest.approx(trio.current_time(), abs=1e-9) == 2 * TICK + 5_999 * PERIOD

    with_grid(main)


def test_an_hour_with_nobody_waiting_wakes_nobody() -> None:
    steps = Steps()

    async def main(_: Grid) -> None:
        await trio.sleep(3600)

    with_grid(main, steps=steps)

    assert steps.of["grid"] <= 2  # it began, and it was cancelled


def test_a_tick_that_many_wait_for_wakes_the_grid_once() -> None:
    steps = Steps()

    async def main(grid: Grid) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(grid.next, 3)

    with_grid(main, steps=steps)

    # it began, was told of an earlier deadline, rang, and was cancelled
    assert steps.of["grid"] <= 4


def test_a_waiter_for_an_earlier_tick_is_not_kept_waiting_for_the_later() -> None:
    rung: list[tuple[int, float]] = []

    async def wait(grid: Grid, phase: int) -> None:
        await grid.next(phase)
        rung.append((phase, trio.current_time()))

    async def main(grid: Grid) -> None:
        async with trio.open_nursery() as nursery:
            for phase in (4, 2, 3, 1):
                nursery.start_soon(wait, grid, phase)
                await trio.testing.wait_all_tasks_blocked()

    with_grid(main)

    assert [(phase, pytest.approx(phase * TICK)) for phase in (1, 2, 3, 4)] == rung


def test_missed_ticks_are_skipped_and_not_replayed() -> None:
    """A process that could not run for a second is rung once for it, and its next tick is on the grid again."""
    clock = MockClock()
    rung: list[float] = []

    async def wait(grid: Grid) -> None:
        while True:
            await grid.next(1)
            rung.append(trio.current_time())

    async def main() -> None:
        grid = Grid()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(grid.run)
            nursery.start_soon(wait, grid)
            await trio.testing.wait_all_tasks_blocked()
            clock.jump(1.013)
            await trio.testing.wait_all_tasks_blocked()
            late = grid.late
            clock.jump(0.1)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

        assert pytest.approx(late) == 1.013 - TICK

    trio.run(main, clock=clock)

    assert [pytest.approx(1.013), pytest.approx(1.113)] == rung


def test_late_is_nothing_while_the_process_keeps_up() -> None:
    async def main(grid: Grid) -> None:
        await grid.next(3)

        assert pytest.approx(0, abs=1e-9) == grid.late

    with_grid(main)


def test_a_waiter_that_crashes_or_is_cancelled_harms_no_other() -> None:
    rung: list[float] = []

    async def crash(grid: Grid) -> None:
        await grid.next(1)
        raise RuntimeError("a bug in one call")

    async def give_up(grid: Grid) -> None:
        with trio.move_on_after(TICK / 2):
            await grid.next(1)

    async def go_on(grid: Grid) -> None:
        for _ in range(3):
            await grid.next(1)
            rung.append(trio.current_time())

    async def bulkhead(grid: Grid) -> None:
        with pytest.RaisesGroup(RuntimeError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crash, grid)

    async def main(grid: Grid) -> None:
        async with trio.open_nursery() as nursery:
            for each in (bulkhead, give_up, go_on, bulkhead):
                nursery.start_soon(each, grid)

    with_grid(main)

    assert [pytest.approx((1 + n * PHASES) * TICK) for n in range(3)] == rung


def test_a_tick_that_everyone_gave_up_is_rung_for_nobody_and_then_all_is_quiet() -> None:
    steps = Steps()

    async def main(grid: Grid) -> None:
        with trio.move_on_after(TICK / 2):
            await grid.next(4)
        await trio.sleep(3600)

    with_grid(main, steps=steps)

    assert steps.of["grid"] <= 4


EPOCHS = st.floats(0, 1e12, allow_nan=False) | st.sampled_from([0.1, 1 / 3, 1e6 + 1e-7, 2.0**33 + 0.3, 1e9, 123456789.987654321])


@settings(max_examples=60, deadline=None)
@given(epoch=EPOCHS, phase=st.integers(0, 4), pauses=st.lists(st.floats(0, 0.25), max_size=12))
@example(epoch=1e11, phase=0, pauses=[])
@example(epoch=2.0**40, phase=3, pauses=[0.02] * 6)
def test_whatever_the_epoch_no_tick_is_early_and_none_comes_twice(epoch: float, phase: int, pauses: list[float]) -> None:
    """The float next to a multiple of 0.02 may be on either side, and far from zero it is coarse."""
    grain = max(1e-9, 4 * math.ulp(epoch))

    async def main(grid: Grid) -> None:
        began, ticks = trio.current_time(), []
        for pause in (*pauses, 0.0, 0.0, 0.0):
            asked = trio.current_time()
            await grid.next(phase)
            waited = trio.current_time() - asked
            ticks.append((trio.current_time() - began) / TICK)

            assert waited <= PERIOD + 2 * grain  # on time

            await trio.sleep(pause)
        numbers = [round(tick) for tick in ticks]

        assert all(number % PHASES == phase for number in numbers)
        assert sorted(set(numbers)) == numbers  # none twice
        assert all(tick >= number - grain / TICK for tick, number in zip(ticks, numbers, strict=True))  # none early

    with_grid(main, jump=epoch)
