"""The seam between two sessions, where a recogniser hears the same audio a little differently."""

import random
import re

import pytest

from supervisor.emulator.faults import Close, Fin, Reset, StopAnswering
from supervisor.emulator.plan import Plan
from tests.simulation import PHONE, STEREO, WIDE, check_account, transcribe

HABITS = {"wobble": True}


def drops(seed, count=4):
    """Sessions that die at random places in random ways."""
    chance = random.Random(seed)
    kinds = [Close, Reset, Fin, StopAnswering]
    return [chance.choice(kinds)(audio=chance.uniform(1.5, 14.0)) for _ in range(count)]


def numbers(words):
    """The numbers that words of numbered audio say, in order; a merged word says several, a changed one still its own."""
    return [int(number) for word in words for number in re.findall(r"[a-z](\d+)", word.word)]


@pytest.mark.parametrize("seed", range(21))
def test_no_word_is_lost_or_said_twice_at_a_random_drop(seed):
    """Words come up to 120 ms later in one session than in another, and one in twenty is heard as another word or runs
    into the one before. Each spoken word is delivered once, in order: at a seam at most one is wrong."""
    audio, plan = (PHONE, WIDE, STEREO)[seed % 3], Plan(drops(seed))
    heard = transcribe(plan, 60.0, audio, seed=seed, habits=HABITS)
    check_account(heard)

    assert heard.ended.outcome == "complete"
    assert heard.gaps == []
    assert heard.ended.sessions >= 4
    for channel in range(audio.channels):
        said = numbers(heard.words(channel))
        spoken = [each.number for each in heard.spoken(channel)]
        assert said == sorted(said)
        twice = len(said) - len(set(said))
        missing = len(set(spoken) - set(said))
        assert set(said) <= set(spoken)
        assert twice == 0
        assert missing <= 1
        check_clock_within_wobble(heard, channel)



def check_clock_within_wobble(heard, channel):
    """Each word lies where it was spoken, or up to 0.12 s later, which is the recogniser's doing."""
    rate = heard.audio.sample_rate
    times = {each.number: each for each in heard.spoken(channel)}
    for word in heard.words(channel):
        said = [times[number] for number in numbers([word])]
        assert said[0].start / rate <= word.start < word.end <= said[-1].end / rate + 0.121


@pytest.mark.parametrize("redact", ["pci", "numbers"])
def test_with_redaction_a_replay_starts_at_the_last_final(redact):
    """Half a card number would not be recognised as one: what was said is heard again from the start of its sentence."""
    heard = transcribe([Reset(audio=14.0), Close(audio=11.0)], 60.0, options={"redact": redact})
    check_account(heard)

    assert heard.gaps == []
    first = heard.proof.connections[0]
    begin, _ = first.made_final()[-1]
    assert heard.proof.connections[1].received[0][0] == begin
    assert [word.word for word in heard.words()] == [each.word for each in heard.spoken()]


def test_a_replay_starts_a_margin_before_the_watermark():
    heard = transcribe([Reset(audio=14.0)], 40.0)
    watermark = heard.proof.connections[0].made_final()[-1][1]

    assert heard.proof.connections[1].received[0][0] == watermark - 8000
    assert heard.ended.audio.replayed_frames == heard.proof.connections[0].received[-1][1] - watermark + 8000


def test_what_was_said_again_is_marked():
    heard = transcribe([Reset(audio=14.0)], 40.0)
    boundary = heard.proof.connections[0].received[-1][1] / 8000

    for final in heard.finals:
        assert final.replayed == (final.session == 2 and final.start < boundary)
