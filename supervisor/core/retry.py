"""How long to wait before the next session, and when to stop trying: tenacity's parts, with our clock and our chance.

Progress, and nothing else, clears the record: a server that accepts and hangs up is not a recovery. A call is given up
after a time without progress, on the clock that is passed in (tenacity's own time limits read the wall's).
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, wait_chain, wait_exponential, wait_fixed
from tenacity.wait import wait_base

from .closure import Verdict
from .judge import Judgement
from .settings import RetrySettings

FULL = 5.0  # seconds at most, once the buffer is full: each one costs as much audio, and a storm of dials helps nobody


class FullJitter(wait_base):
    """Anything up to what another strategy says, by chance (AWS, Exponential Backoff And Jitter)."""

    def __init__(self, ceiling: wait_base, chance: random.Random) -> None:
        self._ceiling = ceiling
        self._chance = chance

    def __call__(self, retry_state: RetryCallState) -> float:
        return self._chance.uniform(0.0, self._ceiling(retry_state))


def backoff(settings: RetrySettings, chance: random.Random) -> wait_base:
    """At most `first` after progress, then `initial` doubling to `longest`."""
    growing = wait_exponential(multiplier=settings.initial / 2, max=settings.longest)
    return FullJitter(wait_chain(wait_fixed(settings.first), growing), chance)


def retrying(
    settings: RetrySettings,
    chance: random.Random,
    *,
    room: Callable[[], float],
    stalled: Callable[[], float],
    before_sleep: Callable[[Judgement, int, float], None],
    sleep: Callable[[float], Awaitable[None]],
) -> AsyncRetrying:
    """A loop over sessions; a new one for each call, since one `AsyncRetrying` is not for two tasks.

    `room`: seconds of audio that the buffer can still take. `stalled`: seconds since the last progress. Called with an
    async function that runs one session and returns its `Judgement`, it returns the last one.
    """
    jittered = backoff(settings, chance)

    def wait(state: RetryCallState) -> float:
        floor = min(last(state).closure.retry_after, settings.retry_after_longest)
        left = room()
        most = max(left, settings.first) if left > 0 else FULL
        return max(min(jittered(state), most), floor)

    def forget_after_progress(state: RetryCallState) -> None:  # `after` runs before `wait` looks at the attempt
        if last(state).closure.progress:
            state.attempt_number = 1

    return AsyncRetrying(
        retry=retry_if_result(lambda judgement: judgement.verdict is Verdict.RETRY),
        after=forget_after_progress,
        wait=wait,
        stop=lambda state: stalled() + state.upcoming_sleep >= settings.give_up_after,
        before_sleep=lambda state: before_sleep(last(state), state.attempt_number, state.upcoming_sleep),
        retry_error_callback=last,
        sleep=sleep,
    )


def last(state: RetryCallState) -> Judgement:
    """What the attempt that has just ended came to."""
    assert state.outcome is not None
    judgement: Judgement = state.outcome.result()
    return judgement
