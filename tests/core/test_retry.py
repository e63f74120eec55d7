"""Waits as a table, and whole loops in which only the clock is made up."""

from __future__ import annotations

import asyncio
import random

import pytest
from tenacity import RetryCallState

from supervisor.core.closure import Closure, Verdict
from supervisor.core.judge import Judgement
from supervisor.core.retry import backoff, last, retrying
from supervisor.core.settings import RetrySettings

SETTINGS = RetrySettings()
FAILED = Judgement(Closure(code=1006), Verdict.RETRY)
MOVED_ON = Judgement(Closure(code=1006, progress=True), Verdict.RETRY)
DONE = Judgement(Closure(code=1000), Verdict.COMPLETE)
REFUSED = Judgement(Closure(status=400), Verdict.ABORT)


class AtMost(random.Random):
    """Chance that always draws the longest."""

    def uniform(self, a: float, b: float) -> float:
        del a
        return b


def state(attempt: int, judgement: Judgement = FAILED) -> RetryCallState:
    made = RetryCallState(None, None, (), {})  # type: ignore[arg-type]
    made.attempt_number = attempt
    made.set_result(judgement)
    return made


def refusal(retry_after: float) -> Judgement:
    return Judgement(Closure(status=503, retry_after=retry_after), Verdict.RETRY)


@pytest.mark.parametrize(
    "attempt, longest",
    [(1, 0.25), (2, 0.5), (3, 1.0), (4, 2.0), (5, 4.0), (6, 8.0), (7, 16.0), (8, 30.0), (9, 30.0), (5000, 30.0)],
)
def test_the_longest_wait_of_each_attempt(attempt: int, longest: float) -> None:
    assert longest == backoff(SETTINGS, AtMost())(state(attempt))


def test_the_wait_is_anything_up_to_its_longest() -> None:
    """Full jitter: calls that died together come back apart, some of them at once."""
    waits = backoff(SETTINGS, random.Random(7))
    drawn = [waits(state(6)) for _ in range(2000)]

    assert 0.0 <= min(drawn) < 0.1
    assert 7.9 < max(drawn) <= 8.0
    assert 3.7 < sum(drawn) / len(drawn) < 4.3


def test_the_same_seed_waits_the_same() -> None:
    first, second = (backoff(SETTINGS, random.Random(3)) for _ in range(2))

    assert [first(state(n)) for n in range(1, 9)] == [second(state(n)) for n in range(1, 9)]


def wait(attempt: int, judgement: Judgement, room: float = 600.0, settings: RetrySettings = SETTINGS) -> float:
    loop = retrying(
        settings,
        AtMost(),
        room=lambda: room,
        stalled=lambda: 0.0,
        before_sleep=lambda *_: None,
        sleep=asyncio.sleep,
    )
    return loop.wait(state(attempt, judgement))


@pytest.mark.parametrize(
    "attempt, judgement, room, expected",
    [
        (8, FAILED, 600.0, 30.0),
        (8, FAILED, 12.0, 12.0),  # a live call's buffer holds no more
        (8, FAILED, 0.1, 0.25),
        (8, FAILED, 0.0, 5.0),  # it is losing already: soon, but a storm of dials would not help
        (8, FAILED, -40.0, 5.0),
        (2, FAILED, 0.0, 0.5),
        (1, refusal(7.0), 600.0, 7.0),  # a floor
        (8, refusal(7.0), 600.0, 30.0),  # and not more than one
        (1, refusal(3600.0), 600.0, 60.0),
        (8, refusal(20.0), 3.0, 20.0),  # what the server asks for is kept though audio is lost
    ],
)
def test_a_wait_heeds_the_buffer_and_the_server(attempt, judgement, room, expected):
    assert expected == wait(attempt, judgement, room)


class World:
    """A clock that only moves by sleeping and by sessions, and what a loop did with it."""

    def __init__(self, *judgements: Judgement, session: float = 1.0, settings: RetrySettings = SETTINGS) -> None:
        self.now = self.moved_at = 0.0
        self.judgements = list(judgements)
        self.session = session
        self.told: list[tuple[int, float]] = []
        self.loop = retrying(
            settings,
            AtMost(),
            room=lambda: 600.0,
            stalled=lambda: self.now - self.moved_at,
            before_sleep=lambda _, attempt, wait: self.told.append((attempt, wait)),
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def run_session(self) -> Judgement:
        self.now += self.session
        judgement = self.judgements.pop(0) if len(self.judgements) > 1 else self.judgements[0]
        if judgement.closure.progress:
            self.moved_at = self.now
        return judgement

    def run(self) -> Judgement:
        coroutine = self.loop(self.run_session)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            judgement: Judgement = stop.value
            return judgement
        raise AssertionError("the loop waited for something that was not given to it")


@pytest.mark.parametrize("end", [DONE, REFUSED])
def test_a_verdict_other_than_retry_ends_the_loop_at_once(end: Judgement) -> None:
    world = World(FAILED, end, FAILED)

    assert end is world.run()
    assert world.told == [(1, 0.25)]


def test_progress_and_nothing_else_clears_the_record() -> None:
    world = World(FAILED, FAILED, FAILED, MOVED_ON, FAILED, DONE)

    world.run()

    assert world.told == [(1, 0.25), (2, 0.5), (3, 1.0), (1, 0.25), (2, 0.5)]


def test_a_call_that_makes_no_progress_is_given_up_before_a_wait_that_would_be_too_long() -> None:
    world = World(FAILED)

    assert FAILED is world.run()
    assert world.now <= SETTINGS.give_up_after < world.now + SETTINGS.longest + world.session


def test_a_call_that_makes_progress_is_never_given_up() -> None:
    world = World(*[MOVED_ON] * 500, DONE, session=100.0)

    assert DONE is world.run()
    assert {(1, 0.25)} == set(world.told)


def test_a_loop_with_no_time_at_all_runs_one_session() -> None:
    world = World(FAILED, settings=RetrySettings(give_up_after=0.0))

    assert FAILED is world.run()
    assert (world.now, world.told) == (1.0, [])


def test_a_bug_in_a_session_is_no_closure() -> None:
    """An exception leaves the loop as it is: only judgements are retried."""
    world = World(FAILED)

    async def broken() -> Judgement:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        world.loop(broken).send(None)


def test_what_an_attempt_came_to() -> None:
    assert DONE is last(state(1, DONE))
