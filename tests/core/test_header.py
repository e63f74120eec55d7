"""The line of JSON before raw audio, and audio that has none."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.codecs.header import LONGEST, Header, Opening, WrongHeader, parse_header


def test_all_that_it_may_say():
    line = b'{"call_id":"a","encoding":"alaw","sample_rate":8000,"channels":2,"metadata":{"queue":"sales"}}'

    assert parse_header(line) == Header("a", "alaw", 8000, 2, {"queue": "sales"})
    assert parse_header(b"{}\r") == Header()


@pytest.mark.parametrize(
    "line, what",
    [
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (b'{"rate": 8000}', "unknown field `rate`"),
        (b'{"call_id": 7}', "call_id"),
        (b'{"call_id": ""}', "call_id is empty"),
        (b'{"call_id": "a\\nb"}', "call_id is empty"),
        (b'{"call_id": "' + b"x" * 201 + b'"}', "call_id is empty"),
        (b'{"encoding": "opus", "sample_rate": 48000}', "encoding is none of"),
        (b'{"encoding": "mulaw", "sample_rate": 10}', "sample_rate is not from"),
        (b'{"encoding": "mulaw", "sample_rate": 8000, "channels": 0}', "channels is not from"),
        (b'{"encoding": "mulaw"}', "needed both"),
        (b'{"sample_rate": 8000}', "needed both"),
        (b'{"metadata": {"a": 1}}', "metadata"),
        (b'{"call_id": "\xff"}', "cannot be read"),
        (b'{"metadata":' * 100_000, "cannot be read"),
    ],
)
def test_anything_else_is_refused_in_one_line(line, what):
    with pytest.raises(WrongHeader, match=what) as caught:
        parse_header(line)

    assert str(caught.value).isprintable()


@given(st.one_of(st.binary(max_size=100), st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_no_bytes_raise_anything_else(line):
    with suppress(WrongHeader):
        assert isinstance(parse_header(line), Header)


# What comes first


def opened(pieces):
    """(header, audio) once it is known, what is wrong with it, or None where the end came first."""
    opening = Opening()
    try:
        for number, piece in enumerate(pieces):
            if opening.receive(piece):
                return opening.header, opening.audio + b"".join(pieces[number + 1 :])
        opening.end()
    except WrongHeader as wrong:
        return str(wrong)
    return None


@pytest.mark.parametrize(
    "came, header, audio",
    [
        (b'{"call_id":"a"}\nabc', Header("a"), b"abc"),
        (b'{ \t"call_id":"a"}\r\n', Header("a"), b""),
        (b"{}\n{}", Header(), b"{}"),
        (b"{ } \r\n\n", Header(), b"\n"),
        (b"abc", Header(), b"abc"),
        (b"\n{}\n", Header(), b"\n{}\n"),
        (b'{"metadata":{"a":"' + b"x" * (LONGEST - 22) + b'"}}\nabc', Header(metadata={"a": "x" * (LONGEST - 22)}), b"abc"),
    ],
)
def test_a_line_of_json_is_no_audio(came, header, audio):
    assert opened([came]) == (header, audio)
    assert opened([came[n : n + 1] for n in range(len(came))]) == (header, audio)


@pytest.mark.parametrize("noise", [b"{\x00\x01\n", b"{z", b"{{", b"{}}\n", b"{} {}", b"{\xff\xfe", b"{ \x7f"])
def test_noise_that_begins_with_a_brace_is_no_line_of_json(noise):
    assert opened([noise]) == (Header(), noise)
    assert opened([noise[n : n + 1] for n in range(len(noise))]) == (Header(), noise)


@pytest.mark.parametrize(
    "came, wrong",
    [
        (b"{", "has no end"),
        (b"{ }", "has no end"),
        (b'{"call_id":"a"}', "has no end"),
        (b"{\n", "cannot be read"),
        (b'{"call_id":"M\xfcller"}\n', "cannot be read"),
        (b"{" + b" " * LONGEST, "longer than 65536 bytes"),
        (b'{"' + b"x" * LONGEST, "longer than 65536 bytes"),
        (b'{"metadata":{"a":"' + b"x" * (LONGEST - 21) + b'"}}\nabc', "longer than 65536 bytes"),
    ],
)
def test_a_line_that_is_no_header_is_said_to_be_wrong(came, wrong):
    assert wrong in opened([came])


def test_nobody_has_come_who_goes_without_a_byte():
    assert opened([]) is None
    assert opened([b"", b""]) is None


BEGINNINGS = st.lists(
    st.one_of(st.sampled_from([b"{", b"}", b'"', b"\n", b" ", b"\t\r", b'{"call_id":"a"}', b"\x00\xff"]), st.binary(max_size=3)),
    max_size=8,
).map(b"".join)


@given(st.one_of(BEGINNINGS, BEGINNINGS.map(lambda rest: b"{" + rest)), st.lists(st.integers(0, 60), max_size=8))
def test_pieces_make_no_difference(came, cuts):
    edges = sorted({min(cut, len(came)) for cut in cuts} | {0, len(came)})

    assert opened([came[a:b] for a, b in pairwise(edges)]) == opened([came])
