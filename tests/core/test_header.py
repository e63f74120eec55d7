"""The line of JSON before raw audio."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.codecs.header import Header, WrongHeader, parse_header


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
