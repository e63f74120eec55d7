"""The demo's scenario in simulated time, with the real recogniser: what holds, and what is said when something does not."""

from __future__ import annotations

import random
from difflib import SequenceMatcher
from functools import cache
from itertools import pairwise

import pytest

from supervisor.core.problem import Exit
from supervisor.demo.material import FORMAT
from supervisor.demo.scenario import mishaps
from supervisor.emulator.faults import Close, Fin, HalfFrame, Hole, Reset
from supervisor.events import SessionClosed, SessionOpened, Transcript
from tests.demo.playing import counted, play, recognises, spoken


@cache
def as_it_is(material):
    """The demo, played once for all that is asked of it."""
    return play(material(), mishaps(material().pauses))


MATERIALS = [pytest.param(spoken, marks=recognises), counted]


@pytest.mark.parametrize("material", MATERIALS)
def test_every_word_is_delivered_once_in_its_place_while_four_things_go_wrong(material):
    played = as_it_is(material)

    assert played.outcome.differences == []
    assert played.performance.exit_code is Exit.OK
    assert played.words == [word.word for word in material().words]
    assert played.seconds < 60
    endings = [(each.code, each.status) for each in played.view.of(SessionClosed) if each.verdict == "retry"]
    assert endings == [(1011, None), (1006, None), (None, 503), (None, None)]
    assert played.problems == []


@pytest.mark.parametrize("material", MATERIALS)
def test_what_goes_wrong_goes_wrong_in_the_pauses(material):
    """The emulator's faults are told in the call's time, wherever a connection has begun to replay."""
    played = as_it_is(material)
    begins = {each.session: each.replay_from for each in played.view.of(SessionOpened)}
    ends = [begins[each.session] + each.sent for each in played.view.of(SessionClosed) if each.code is not None]

    assert len(ends) == 3  # the last is the end
    for (start, end), at in zip(material().pauses, ends[:2], strict=False):
        assert start <= at <= end


@recognises
def test_the_server_is_heard_to_ask_for_two_seconds_and_gets_them():
    played = as_it_is(spoken)
    refused = next(at for at, each in played.view.times if isinstance(each, SessionClosed) and each.status == 503)
    opened = next(at for at, each in played.view.times if isinstance(each, SessionOpened) and at > refused)

    assert opened - refused >= 2.0


@recognises
@pytest.mark.parametrize("seed", range(10))
def test_wherever_a_connection_is_cut_at_most_one_word_is_wrong_and_none_comes_twice(seed):
    chance = random.Random(seed)
    at = round(chance.uniform(1.0, 25.8), 3)
    kind = chance.choice(
        [
            lambda: Close(audio=at, code=1011),
            lambda: Reset(audio=at),
            lambda: Fin(audio=at),
            lambda: HalfFrame(audio=at),
        ]
    )
    played = play(spoken(), [kind()], seed=seed)
    known = [word.word for word in spoken().words]
    steps = [
        step for step in SequenceMatcher(None, known, played.words, autojunk=False).get_opcodes() if step[0] != "equal"
    ]

    assert len(played.view.of(SessionOpened)) == 2
    assert sum(max(j - i, m - k) for _, i, j, k, m in steps) <= 1
    assert len(played.words) <= len(known)  # a word twice is a word too many
    assert played.view.story.ended.audio.acknowledged_frames == spoken().frames


def test_the_transcript_grows_with_the_call_rather_than_at_its_end():
    played = play(counted(), [])
    shown = [at for at, each in played.view.times if isinstance(each, Transcript) and each.text]

    assert max(later - earlier for earlier, later in pairwise(shown)) <= 2.5


def test_a_hole_in_what_the_server_says_is_a_difference_and_a_failure():
    """The demo is worth nothing if it could not fail."""
    played = play(counted(), [Hole(audio=6.0, seconds=2.0)])

    assert any("was lost" in each for each in played.outcome.differences)
    assert any("not final for the emulator" in each for each in played.outcome.differences)
    assert any("acknowledged" in each for each in played.outcome.differences)


def test_the_emulators_count_is_not_the_clients():
    """Told by nobody where a connection begins, it finds the audio itself."""
    material = counted()
    played = as_it_is(counted)
    told = played.view.story.ended.audio

    assert f"emulator    {material.frames:,} of {material.frames:,} sample frames came" in "\n".join(
        played.outcome.lines
    )
    assert told.replayed_frames > 5 * FORMAT.sample_rate
