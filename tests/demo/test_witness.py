"""Wherever in the known audio a stream begins, ends and jumps, the emulator finds the place by itself."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.demo.material import reading
from supervisor.demo.witness import Finder
from supervisor.emulator.engine import NumberedEngine

KNOWN = random.Random(5).randbytes(20_000)


def found(stream, known=KNOWN, message=640):
    finder = Finder(known, 2)
    for start in range(0, len(stream), message):
        finder.feed(stream[start : start + message])
    return [
        (run.position, run.length) if run.numbered else ("silent" if run.silent else "foreign", run.length)
        for run in finder.finish()
    ]


@given(st.lists(st.tuples(st.integers(0, 9_000), st.integers(50, 900)), min_size=1, max_size=4), st.integers(50, 500))
@settings(max_examples=50, deadline=None)
def test_pieces_are_found_between_silences(pieces, message):
    silence = bytes(200)
    stream = silence + b"".join(KNOWN[2 * at : 2 * (at + length)] + silence for at, length in pieces)
    expected = [("silent", 200)]
    for at, length in pieces:
        expected += [(2 * at, 2 * length), ("silent", 200)]

    assert found(stream, message=2 * message) == expected
    assert found(stream, message=len(stream)) == expected


def test_a_jump_within_a_message_is_found():
    stream = KNOWN[2000:3000] + KNOWN[6000:6400]

    assert found(stream, message=len(stream)) == [(2000, 1000), (6000, 400)]


def test_audio_that_is_known_in_two_places_waits_until_it_is_in_one():
    known = KNOWN[:1000] + KNOWN[:1000] + KNOWN[2000:3000]

    assert found(known[1000:], known, message=100) == [(1000, 2000)]


def test_what_is_not_of_the_call_is_foreign():
    assert found(b"\x01\x02" * 100) == [("foreign", 200)]


@pytest.mark.parametrize("start", [0, 1, 6.95, 7.2, 10.5, 16.2, 22.6])
def test_the_reading_is_found_from_its_pauses_too(start):
    """They are made of one quiet piece, forwards and backwards, so a tenth of a second of them is in several places."""
    material = reading(NumberedEngine())
    known = material.audio(0, 2 * material.frames)
    at = 2 * round(start * 16000)

    assert found(known[at:], known, message=3200) == [(at, len(known) - at)]
