"""The seam, whole: whatever is sent again, the words delivered are the words spoken, once, in order, in their places.

A word is missing only where a gap was reported.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.seam import WOBBLE, Line, Spoken, play, talk

LENGTHS = st.tuples(st.integers(20, 500) | st.integers(1000, 3000), st.integers(60, 500))
TALKS = st.lists(LENGTHS, min_size=1, max_size=25)
CHANNELS = st.integers(0, 1)
WRITE = st.tuples(st.just("write"), st.integers(50, 3000))
SEND = st.tuples(st.just("send"), st.integers(20, 4000))
FINAL = st.tuples(st.just("final"), CHANNELS, st.integers(50, 5000))
INTERIM = st.tuples(st.just("interim"), CHANNELS, st.integers(50, 5000))
FLUSH = st.tuples(st.just("flush"), CHANNELS)
SILENCE = st.tuples(st.just("silence"), st.integers(20, 2000))
LOSE = st.tuples(st.just("lose"), st.integers(1, 3000))
SKIP = st.tuples(st.just("skip"), CHANNELS, st.integers(700, 2500))


def connections(wobble: int) -> st.SearchStrategy[list[tuple]]:
    connect = st.tuples(st.just("connect"), st.integers(-wobble, wobble))
    return st.tuples(connect, st.tuples(st.just("send"), st.integers(20, 6000))).map(list)


def histories(*more: st.SearchStrategy[tuple], wobble: int = WOBBLE) -> st.SearchStrategy[list[tuple]]:
    """Things that happen, in any order; audio that was written is mostly sent."""
    flow = st.tuples(WRITE, SEND).map(list)
    alone = st.one_of(FINAL, FINAL, INTERIM, FLUSH, SILENCE, *more).map(lambda step: [step])
    stretches = st.lists(st.one_of(flow, alone, connections(wobble)), min_size=3, max_size=40)
    return stretches.map(lambda found: [step for stretch in found for step in stretch])


@settings(max_examples=250)
@given(TALKS, histories(), st.booleans())
def test_every_word_once_in_order_in_its_place(lengths, steps, whole_finals):
    """Connections die at any moment; nothing is lost, so nothing may be missing."""
    line = Line([talk(lengths)], whole_finals=whole_finals)
    play(line, steps)

    assert line.gaps == []
    assert line.state.at.acknowledged == line.state.at.written


@settings(max_examples=200)
@given(TALKS, TALKS, histories(), st.booleans())
def test_each_channel_has_a_seam_of_its_own(lengths, others, steps, whole_finals):
    """The channels' finals come when they like; a replay starts where the slowest needs it."""
    line = Line([talk(lengths), talk(others)], whole_finals=whole_finals)
    play(line, steps)

    assert line.gaps == []
    assert line.state.at.acknowledged == line.state.at.written


@settings(max_examples=250)
@given(st.lists(TALKS, min_size=1, max_size=2), histories(LOSE, SKIP), st.booleans())
def test_a_word_is_missing_only_where_a_gap_was_reported(talks, steps, whole_finals):
    """Audio gives way, and the server passes over some; what is lost is never told twice for it."""
    play(Line([talk(lengths) for lengths in talks], whole_finals=whole_finals), steps)


ECHOES = st.lists(
    st.tuples(st.integers(60, 500) | st.integers(1000, 3000), st.integers(120, 400)), min_size=1, max_size=25
)


@settings(max_examples=150)
@given(ECHOES, st.integers(1, 3), histories(wobble=40))
def test_who_says_the_same_word_again_and_again_is_heard_each_time(lengths, vocabulary, steps):
    """ "No, no, no" is three words, as long as the server is wrong by less than half of the way to the next."""
    play(Line([talk(lengths, vocabulary)]), steps)


def long_history(chance: random.Random, channels: int) -> tuple[list[list[Spoken]], list[tuple]]:
    """As the strategies above draw them, but each as long as a call with everything in it, and much quicker to make."""
    pauses = (lambda: chance.randint(20, 500), lambda: chance.randint(1000, 3000))
    talks = [
        talk([(chance.choices(pauses, (2, 1))[0](), chance.randint(60, 500)) for _ in range(chance.randint(1, 30))])
        for _ in range(channels)
    ]
    steps: list[tuple] = []
    for _ in range(chance.randint(1, 60)):
        channel = chance.randrange(channels)
        match chance.choices(("flow", "final", "interim", "flush", "silence", "connect"), (25, 30, 10, 7, 6, 12))[0]:
            case "flow":
                steps += [("write", chance.randint(50, 3000)), ("send", chance.randint(20, 4000))]
            case "connect":
                steps += [("connect", chance.randint(-WOBBLE, WOBBLE)), ("send", chance.randint(20, 6000))]
            case "flush":
                steps.append(("flush", channel))
            case "silence":
                steps.append(("silence", chance.randint(20, 2000)))
            case told:
                steps.append((told, channel, chance.randint(50, 5000)))
    return talks, steps


@pytest.mark.parametrize("channels", [1, 2])
def test_long_calls_too(channels: int) -> None:
    """A fault that needs a pause, a wobble and a reconnect in a row is in one of a hundred of these."""
    for seed in range(600):
        talks, steps = long_history(random.Random(seed), channels)
        line = Line(talks, whole_finals=seed % 4 == 0)
        play(line, steps)

        assert line.gaps == [], seed
