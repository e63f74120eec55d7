"""Numbered audio is read to the byte, from wherever one begins, whatever lies between and however it was cut."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from supervisor.core.audio import SILENCE
from supervisor.emulator.numbered import BLOCK, CERTAIN, LONGEST, PAGE, SALTS, Reader, join, numbered

SALT_NUMBERS = st.integers(0, SALTS - 1)
POSITIONS = st.one_of(st.integers(0, 5 * PAGE), st.integers(0, LONGEST - 10 * PAGE), st.just(PAGE - 5))
SILENT = sorted({silence[0] for silence in SILENCE.values()})


def read(data, cuts=(), silence=0xFF):
    """The runs of some audio that comes in pieces."""
    reader, runs, at = Reader(silence), [], 0
    for size in cuts:
        join(runs, reader.feed(data[at : at + size]))
        at += size
    join(runs, reader.feed(data[at:]))
    join(runs, reader.finish())
    return runs


def whole(runs, length):
    """The runs lie one after another and leave nothing out."""
    at = 0
    for run in runs:
        assert at == run.at
        assert run.length > 0
        at += run.length
    assert at == length


@given(SALT_NUMBERS, POSITIONS, st.integers(0, 3 * PAGE), st.integers(0, 3 * PAGE))
@settings(max_examples=50)
def test_a_piece_is_the_same_wherever_one_begins_to_make_it(salt, position, before, length):
    made = numbered(salt, position, before + length)

    assert numbered(salt, position + before, length) == made[before:]


@given(SALT_NUMBERS, POSITIONS, st.integers(CERTAIN, 5000), st.lists(st.integers(1, 700), max_size=20))
def test_a_piece_that_holds_a_whole_block_is_read_to_the_byte(salt, position, length, cuts):
    runs = read(numbered(salt, position, length), cuts)

    assert [(0, length, salt, position)] == [(run.at, run.length, run.salt, run.position) for run in runs]


@pytest.mark.parametrize("start", range(2 * BLOCK + 1))
def test_one_may_begin_at_any_byte_and_hear_one_byte_at_a_time(start):
    runs = read(numbered(7, start, 100), [1] * 100)

    assert [(0, 100, 7, start)] == [(run.at, run.length, run.salt, run.position) for run in runs]


@given(st.binary(max_size=3000), st.lists(st.integers(1, 500), max_size=8), st.sampled_from(SILENT))
@example(bytes(range(256)) * 8, [], 0)
def test_other_audio_is_not_taken_for_it(data, cuts, silence):
    assert not [run for run in read(data, cuts, silence) if run.numbered]


@pytest.mark.parametrize("alphabet", [range(256), range(0x40, 0xC0), range(0x40, 0x80), range(0x80, 0xC0)])
def test_a_megabyte_of_noise_is_not_taken_for_it_either(alphabet):
    data = bytes(random.Random(1).choices(list(alphabet), k=1 << 20))

    assert not [run for run in read(data) if run.numbered]


@given(st.sampled_from(SILENT), st.integers(1, 5000), st.lists(st.integers(1, 700), max_size=8))
def test_silence_is_one_silent_run(silence, length, cuts):
    runs = read(bytes((silence,)) * length, cuts, silence)

    assert [(0, length, -1, True)] == [(run.at, run.length, run.salt, run.silent) for run in runs]


def test_another_encodings_silence_is_not_silence():
    assert [run.silent for run in read(b"\xff" * 500, silence=0)] == [False]


PIECE = st.one_of(
    st.tuples(st.just("numbered"), st.integers(0, 20 * PAGE), st.integers(CERTAIN, 4000)),
    st.tuples(st.just("silence"), st.just(0), st.integers(1, 3000)),
    st.tuples(st.just("noise"), st.integers(0, 1000), st.integers(1, 300)),
)


@given(
    st.lists(PIECE, min_size=1, max_size=8), st.lists(st.integers(1, 900), max_size=30), st.sampled_from(SILENT),
    st.sampled_from([1, 2, 4]),
)  # fmt: skip
@settings(max_examples=300)
def test_what_is_numbered_is_read_and_nothing_else_whatever_lies_between(pieces, cuts, silence, sample):
    """Lengths and positions in whole samples of 8, 16 and 32 bits: jumps forward, jumps back, silence, noise.

    The noise has no byte of numbered audio. Where two pieces meet their bytes may look alike by chance, so one of them
    may seem a few bytes longer; what is between those is exact.
    """
    data, expected = b"", []
    for kind, position, length in pieces:
        position, length = position // sample * sample, -(-length // sample) * sample
        if kind == "numbered":
            expected.append((len(data), length, position))
            data += numbered(7, position, length)
        elif kind == "silence":
            data += bytes((silence,)) * length
        else:
            noise = random.Random(position)
            data += bytes(noise.choices([0x01, 0x20, 0x3F, 0xC1, 0xE0, 0xFE], k=length))

    runs = read(data, cuts, silence)

    whole(runs, len(data))
    for run in runs:
        if run.numbered:
            assert numbered(run.salt, run.position, run.length) == data[run.at : run.at + run.length]
            assert any(at - 3 <= run.at <= at + length for at, length, _ in expected)
    for at, length, position in expected:
        held = [run for run in runs if run.numbered and run.at <= at + 3 and run.at + run.length >= at + length - 3]
        assert [position - at] == [run.position - run.at for run in held]
        assert held[0].salt == 7


@given(st.lists(st.integers(CERTAIN, 3000), min_size=2, max_size=6), st.data())
def test_a_cut_leaves_no_trace(lengths, data):
    """The runs are the same, however the audio came."""
    audio = b"".join(numbered(3, 1000 * number, length) + b"\xff" * length for number, length in enumerate(lengths))
    cuts = data.draw(st.lists(st.integers(1, 1500), max_size=20))

    assert read(audio) == read(audio, cuts)


def test_two_calls_are_told_apart():
    runs = read(numbered(1, 0, 500) + numbered(2, 500, 500))

    assert [(run.salt, run.position) for run in runs] == [(1, 0), (2, 500)]


@given(st.integers(1, CERTAIN - 1))
def test_what_goes_on_after_silence_is_known_by_fewer_bytes(length):
    """A client may hold back all but a few bytes."""
    data = numbered(7, 0, 1000) + b"\xff" * 300 + numbered(7, 1000, length) + b"\xff" * 300
    runs = [run for run in read(data) if run.numbered]

    assert [(0, 0, 1000), (1300, 1000, length)] == [(run.at, run.position, run.length) for run in runs]


@pytest.mark.parametrize("salt, position, length", [(-1, 0, 1), (SALTS, 0, 1), (0, -1, 5), (0, LONGEST, 1)])
def test_there_is_only_so_much_of_it(salt, position, length):
    with pytest.raises(ValueError, match="no such numbered audio"):
        numbered(salt, position, length)


def test_the_last_bytes_there_are():
    assert len(numbered(SALTS - 1, LONGEST - 100, 100)) == 100


def test_no_byte_of_it_is_silence():
    assert not set(SILENT) & set(numbered(12345, 0, 2 * PAGE))
