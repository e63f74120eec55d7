"""Asterisk's frames, in whatever pieces they come and whatever is wrong with them."""

from __future__ import annotations

import uuid
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.codecs.audiosocket import RATES, AudioSocket, silence

ID = uuid.UUID("40325ec2-5efd-4bd3-805f-53576e581d13")
HELLO = b"\x01\x00\x10" + ID.bytes
FRAME = b"\x10\x01\x40" + bytes(range(160)) * 2


def frame(kind, payload=b""):
    return bytes([kind]) + len(payload).to_bytes(2, "big") + payload


def test_a_call_as_asterisk_sends_it():
    call = AudioSocket()
    audio = call.receive(HELLO + FRAME * 3)

    assert call.uuid == ID
    assert audio == FRAME[3:] * 3
    assert (call.format.encoding, call.format.sample_rate, call.format.channels) == ("linear16", 8000, 1)
    assert (call.frames, call.digits, call.ended, call.fault) == (3, 0, False, "")


@pytest.mark.parametrize("kind, rate", RATES.items())
def test_each_kind_of_audio_has_its_rate(kind, rate):
    call = AudioSocket()
    size = 2 * rate // 50
    call.receive(HELLO + frame(kind, bytes(size)))

    assert call.format.sample_rate == rate
    assert silence(kind) == frame(kind, bytes(size))


def test_digits_are_counted_and_not_kept():
    call = AudioSocket()
    audio = call.receive(HELLO + FRAME + frame(3, b"7") + FRAME + frame(3, b"#"))

    assert audio == FRAME[3:] * 2
    assert call.digits == 2
    assert b"#" not in repr(vars(call)).encode()


def test_an_empty_frame_of_audio_is_none():
    call = AudioSocket()

    assert call.receive(HELLO + frame(0x10) + frame(0x12, b"ab")) == b"ab"
    assert call.format.sample_rate == 16000


@pytest.mark.parametrize("end", [frame(0), frame(0, b"x"), frame(0xFF, b"\x01")])
def test_a_hang_up_or_an_error_ends_it(end):
    call = AudioSocket()

    assert call.receive(HELLO + FRAME + end + FRAME) == FRAME[3:]
    assert call.ended
    assert call.receive(FRAME) == b""
    assert call.fault == ""


@pytest.mark.parametrize(
    "stream, fault",
    [
        (FRAME, "its first frame is of kind 0x10, not a UUID"),
        (b"GET / HTTP/1.1\r\n", "its first frame is of kind 0x47, not a UUID"),
        (b"\x01\x00\x0f", "its UUID has 15 bytes rather than 16"),
        (HELLO + HELLO, "a second UUID comes within a call"),
        (HELLO + FRAME + b"\x55\xff\xff", "a frame has the unknown kind 0x55"),
        (HELLO + FRAME + b"\x19\x00\x02", "a frame has the unknown kind 0x19"),
        (HELLO + FRAME + frame(0x12, b"ab"), "its audio changes from kind 0x10 to 0x12 within a call"),
        (HELLO + FRAME + b"\x10\x00\x03", "a frame of audio has 3 bytes, which are no whole samples"),
        (HELLO + FRAME + b"\x03\x00\x02", "a digit has 2 bytes rather than one"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_and_what_came_before_is_kept(stream, fault):
    """It is seen in the frame's head: no payload is waited for that a lie announces."""
    call = AudioSocket()
    audio = call.receive(stream)

    assert call.fault == fault
    assert audio == (FRAME[3:] if stream.startswith(HELLO + FRAME) else b"")
    assert call.receive(FRAME) == b""


@pytest.mark.parametrize("override", ["mulaw", "alaw"])
def test_frames_that_are_labelled_wrongly_may_be_taken_for_what_they_are(override):
    call = AudioSocket(override)
    audio = call.receive(HELLO + frame(0x10, b"u" * 159) + frame(0x10, b"v" * 160))

    assert audio == b"u" * 159 + b"v" * 160
    assert (call.format.encoding, call.format.sample_rate) == (override, 8000)
    assert not call.mislabelled


@pytest.mark.parametrize(
    "frames, suspicious",
    [([], False), ([(0x10, 160)] * 9, True), ([(0x10, 160)] * 9 + [(0x10, 320)], False), ([(0x12, 160)], False), ([(0x10, 320)], False)],
)
def test_only_frames_of_one_size_throughout_look_like_g711(frames, suspicious):
    call = AudioSocket()
    call.receive(HELLO + b"".join(frame(kind, bytes(size)) for kind, size in frames))

    assert call.mislabelled is suspicious


def pieces(data, cuts):
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(edges)]


def outcome(call, parts):
    audio = b"".join(call.receive(part) for part in parts)
    return audio, call.uuid, call.format, call.kind, call.digits, call.ended, call.fault, call.frames, call.mislabelled


STREAMS = st.lists(
    st.one_of(
        st.just(FRAME),
        st.builds(frame, st.sampled_from([0x00, 0x01, 0x03, 0x10, 0x10, 0x12, 0xFF, 0x42]), st.binary(max_size=6)),
        st.just(HELLO),
        st.binary(max_size=5),
    ),
    max_size=8,
).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(st.booleans(), STREAMS, st.lists(st.integers(0, 2000), max_size=12), st.sampled_from([None, "mulaw"]))
def test_no_bytes_in_any_pieces_raise_and_pieces_make_no_difference(greeted, stream, cuts, override):
    data = (HELLO if greeted else b"") + stream

    assert outcome(AudioSocket(override), pieces(data, cuts)) == outcome(AudioSocket(override), [data])


def test_what_waits_for_its_rest_is_never_more_than_a_frame():
    call = AudioSocket()
    call.receive(HELLO)
    for _ in range(5000):
        call.receive(b"\x10\xff\xfe" + bytes(100))

    assert len(call._rest) <= 3 + 65535
