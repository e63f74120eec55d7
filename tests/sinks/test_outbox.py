"""Between a call and a slow output: guesses give way, everything else is kept in order."""

from __future__ import annotations

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from supervisor.events import Event, Transcript
from supervisor.sinks.outbox import Outbox, is_guess
from tests.sinks.making import ended, gap, guessed, said, started

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("guess"), st.integers(0, 2), st.integers(0, 1)),
        st.tuples(st.just("final"), st.integers(0, 2), st.integers(0, 1)),
        st.tuples(st.just("gap"), st.just(0), st.just(0)),
        st.tuples(st.just("take"), st.integers(1, 4), st.integers(0, 4)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 30))
def test_all_but_guesses_come_out_once_or_are_given_up_each_in_order(
    steps: list[tuple[str, int, int]], room: int
) -> None:
    outbox = Outbox(room=room)
    kept: list[Event] = []
    out: list[Event] = []
    gone: list[Event] = []
    for number, (step, one, other) in enumerate(steps):
        match step:
            case "guess":
                gone += outbox.offer(guessed(str(number), segment=one, channel=other))
            case "final" | "gap":
                kept.append(said(str(number), segment=one, channel=other) if step == "final" else gap(number, number + 1))
                gone += outbox.offer(kept[-1])
            case _:
                lent = outbox.take(one)
                out += lent[:other]
                outbox.written(len(lent[:other]))
        assert len(outbox) <= room + 4  # what is lent stays
    left = outbox.events()
    out += left

    assert not any(map(is_guess, gone))
    for events in (gone, out):
        finals = [event for event in events if not is_guess(event)]
        assert finals == [event for event in kept if event in finals]
    assert len(kept) == len(gone) + sum(not is_guess(event) for event in out)
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


def test_guesses_give_way_before_anything_else_does() -> None:
    outbox = Outbox(room=3)
    gone = [outbox.offer(event) for event in [started(), guessed("on"), guessed("ot", channel=1), said("one"), said("two"), guessed("th", segment=2)]]

    assert gone == [[]] * 6
    assert [started(), said("one"), said("two")] == outbox.take()


class TestFull:
    def test_the_oldest_that_are_not_lent_give_way_a_tenth_of_the_room_at_once(self) -> None:
        outbox = Outbox(room=40)
        events = [said(str(number), segment=number) for number in range(44)]
        for event in events[:20]:
            outbox.offer(event)
        lent = outbox.take(10)
        gone = [outbox.offer(event) for event in events[20:]]

        assert gone == [[]] * 20 + [events[10:14]] + [[]] * 3
        assert outbox.events() == [*lent, *events[14:]]

    def test_what_is_lent_never_gives_way(self) -> None:
        outbox = Outbox(room=1)
        outbox.offer(said("one"))
        lent = outbox.take()

        assert outbox.offer(said("two", segment=1)) == []
        assert outbox.offer(said("three", segment=2)) == [said("two", segment=1)]
        assert outbox.events() == [*lent, said("three", segment=2)]

    def test_it_is_said_at_four_fifths_and_again_only_after_half_of_it_was_written(self) -> None:
        told: list[tuple[bool, int]] = []
        outbox = Outbox(room=10, behind=lambda behind: told.append((behind, len(outbox))))

        def offer(count: int) -> None:
            for number in range(count):
                outbox.offer(said(str(number), segment=number))

        offer(9)
        outbox.take(2)
        outbox.written(2)
        offer(3)
        assert told == [(True, 8)]
        outbox.take(5)
        outbox.written(5)
        offer(5)

        assert told == [(True, 8), (False, 5), (True, 8)]


class TestWithdrawn:
    def test_a_call_is_taken_out_lent_or_not_and_the_others_stay(self) -> None:
        outbox = Outbox()
        events = [said(call, segment=number, call_id=call) for number in range(2) for call in "ab"]
        for event in [*events, guessed("gu", segment=2, call_id="a")]:
            outbox.offer(event)
        outbox.take(3)

        assert outbox.withdraw("a") == [events[0], events[2], guessed("gu", segment=2, call_id="a")]
        assert outbox.take() == [events[1], events[3]]
        outbox.offer(guessed("guess", segment=2, call_id="a"))
        assert outbox.take() == [events[1], events[3], guessed("guess", segment=2, call_id="a")]

    def test_a_later_call_of_the_same_id_stays(self) -> None:
        outbox = Outbox()
        for event in [said("a"), ended(), started(), said("b")]:
            outbox.offer(event)

        assert outbox.withdraw("c") == [said("a"), ended()]
        assert outbox.take() == [started(), said("b")]


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
