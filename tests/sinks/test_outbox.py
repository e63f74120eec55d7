"""Between a call and a slow output: guesses give way, everything else is kept in order."""

from __future__ import annotations

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from supervisor.events import Event, Transcript
from supervisor.sinks.outbox import Outbox
from tests.sinks.making import gap, guessed, said, started


def is_guess(event: Event) -> bool:
    return isinstance(event, Transcript) and not event.is_final


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("guess"), st.integers(0, 2), st.integers(0, 1)),
        st.tuples(st.just("final"), st.integers(0, 2), st.integers(0, 1)),
        st.tuples(st.just("gap"), st.just(0), st.just(0)),
        st.tuples(st.just("take"), st.integers(1, 4), st.integers(0, 4)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(0, 5))
def test_all_but_guesses_come_out_once_and_in_order(steps: list[tuple[str, int, int]], room: int) -> None:
    outbox = Outbox(room=room)
    kept, out = [], []
    for number, (step, one, other) in enumerate(steps):
        match step:
            case "guess":
                outbox.offer(guessed(str(number), segment=one, channel=other))
            case "final":
                kept.append(said(str(number), segment=one, channel=other))
                outbox.offer(kept[-1])
            case "gap":
                kept.append(gap(number, number + 1))
                outbox.offer(kept[-1])
            case _:
                lent = outbox.take(one)
                out += lent[:other]
                outbox.written(len(lent[:other]))
    left = outbox.events()
    out += left

    assert kept == [event for event in out if not is_guess(event)]
    assert len(left) == len(outbox)


@given(STEPS)
def test_a_guess_never_comes_after_what_took_its_place(steps: list[tuple[str, int, int]]) -> None:
    outbox = Outbox()
    out: list[Event] = []
    for number, (step, one, other) in enumerate(steps):
        if step == "take":
            lent = outbox.take(one)
            out += lent[:other]
            outbox.written(len(lent[:other]))
        elif step in ("guess", "final"):
            outbox.offer(said(str(number), segment=one, channel=other, is_final=step == "final"))
    out += outbox.take(1000)
    numbers = [int(event.text) for event in out if isinstance(event, Transcript)]

    assert numbers == sorted(numbers)


def test_a_reader_that_has_stopped_costs_one_guess_for_each_segment() -> None:
    outbox = Outbox()
    for number in range(10_000):
        outbox.offer(guessed(str(number), segment=number // 5_000))

    assert [event.text for event in outbox.take() if isinstance(event, Transcript)] == ["4999", "9999"]


def test_a_final_ends_the_guess_that_waits_and_no_other() -> None:
    outbox = Outbox()
    others = [guessed("other channel", channel=1), guessed("other call", call_id="d"), guessed("later", segment=1)]
    for event in [guessed("gu"), *others, said("guess")]:
        outbox.offer(event)

    assert [*others, said("guess")] == outbox.take()


def test_a_guess_that_is_lent_stays_lent() -> None:
    """It may be half written already."""
    outbox = Outbox()
    outbox.offer(guessed("a"))
    lent = outbox.take()
    outbox.offer(said("ab"))

    assert [guessed("a")] == lent
    assert [guessed("a"), said("ab")] == outbox.take()


def test_where_there_is_no_room_guesses_are_given_up_and_finals_are_not() -> None:
    outbox = Outbox(room=2)
    for event in [started(), said("one"), guessed("tw", segment=1), said("two", segment=1)]:
        outbox.offer(event)

    assert [started(), said("one"), said("two", segment=1)] == outbox.take()


def test_guesses_that_nobody_wants_wake_nobody() -> None:
    async def main() -> bool:
        outbox = Outbox(interims=False)
        with trio.move_on_after(1) as waiting:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(outbox.wait)
                await trio.testing.wait_all_tasks_blocked()
                outbox.offer(guessed("a"))
        return waiting.cancelled_caught and not len(outbox)

    assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_closing_wakes_whoever_waits() -> None:
    async def main() -> None:
        outbox = Outbox()
        with trio.fail_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(outbox.wait)
                await trio.testing.wait_all_tasks_blocked()
                outbox.close()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
