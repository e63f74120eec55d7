"""Each claim of the demo fails when it is not so."""

from __future__ import annotations

from functools import cache

import msgspec
import pytest

from supervisor.demo.outcome import outcome
from supervisor.demo.witness import Witness
from supervisor.emulator.numbered import Run
from supervisor.emulator.proof import CallProof, Connection
from tests.demo.playing import counted, play


@cache
def whole():
    """A run in which nothing goes wrong: its words and its account."""
    played = play(counted(), [])
    return played.view.story.words, played.view.story.ended


def proof(*spans, final=None):
    """An emulator that had these frames of the call, one connection for each."""
    material = counted()
    connections = []
    for number, (start, end) in enumerate(spans):
        connection = Connection(number, 0.0)
        connection.hears(material.source().format)
        connection.size = 2 * (end - start)
        connection.runs.append(Run(0, 2 * (end - start), 0, 2 * start, False))
        connection.finals.append((0, 0, (end if final is None else final) - start))
        connections.append(connection)
    return CallProof(connections)


def differences(words=None, proved=None, **audio):
    material = counted()
    known, ended = whole()
    changed = msgspec.structs.replace(ended, audio=msgspec.structs.replace(ended.audio, **audio))
    return outcome(
        material, known if words is None else words, changed, proved or proof((0, material.frames))
    ).differences


def test_nothing_differs_when_nothing_is_wrong():
    assert differences() == []


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda words: [*words[:5], *words[6:]], '"a5" was lost'),
        (lambda words: [*words[:5], words[5], *words[5:]], '"a5" was delivered and not spoken, or delivered twice'),
        (lambda words: [*words[:5], msgspec.structs.replace(words[5], word="x"), *words[6:]], '"a5" was delivered as "x"'),
        (lambda words: [words[1], words[0], *words[2:]], "was delivered and not spoken, or delivered twice"),
        (lambda words: [*words[:-1], msgspec.structs.replace(words[-1], end=words[-1].end + 0.3)], "from where it was spoken"),
        (lambda words: words[:0], "was lost"),
    ],
)  # fmt: skip
def test_a_word_lost_doubled_changed_or_moved_is_told(change, said):
    found = differences(change(whole()[0]))

    assert any(said in each for each in found)


@pytest.mark.parametrize(
    "audio, said",
    [
        ({"acknowledged_frames": 1}, "the ledger does not add up"),
        ({"acknowledged_frames": 415_999, "lost_frames": 1}, "not all that was heard is acknowledged"),
        ({"heard_frames": 416_001, "acknowledged_frames": 416_001}, "416,000 sample frames were played"),
    ],
)
def test_a_ledger_that_does_not_add_up_is_told(audio, said):
    assert said in differences(**audio)


@pytest.mark.parametrize(
    "proved, said",
    [
        (proof((0, 300_000)), "116,000 sample frames never came to the emulator"),
        (proof((0, 200_000), (200_001, 416_000)), "1 sample frames never came to the emulator"),
        (proof((0, 416_000), final=415_999), "not final for the emulator: [(415999, 416000)]"),
        (proof((0, 416_000), (0, 416_000)), "the emulator has more than the ledger knows to be sent"),
    ],
)
def test_an_emulator_that_counts_otherwise_is_told(proved, said):
    assert said in differences(proved=proved)


def test_a_witness_knows_nothing_of_connections_that_never_spoke():
    assert Witness(counted().engine, b"").testimony([Connection(0, 0.0)]).received == []
