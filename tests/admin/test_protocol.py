"""The lines of the admin socket: whatever comes is a request to the last field, or is refused, and breaks nothing."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.admin.protocol import (
    AskHealth,
    Calls,
    Drain,
    End,
    HealthIs,
    Lines,
    ListCalls,
    Malformed,
    Pause,
    Reload,
    Resume,
    check_path,
    read_answer,
    read_request,
    write,
)
from supervisor.control import Health
from supervisor.core.problem import Problem

from .fake import view

settings.register_profile("admin", deadline=None, derandomize=True)
settings.load_profile("admin")

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=50)
REQUESTS = st.one_of(
    st.sampled_from([ListCalls(), Reload(), AskHealth()]), st.builds(Drain, st.booleans()),
    *(st.builds(kind, TEXT) for kind in (End, Pause, Resume)),
)  # fmt: skip


@given(REQUESTS)
def test_a_request_arrives_as_it_was_meant_on_one_line(request) -> None:
    line = write(request)

    assert line.count(b"\n") == 1
    assert read_request(line[:-1]) == request


@given(REQUESTS, st.data())
def test_the_beginning_of_a_request_is_none(request, data) -> None:
    """A drain that is cut off anywhere drains nothing."""
    whole = write(request)[:-1]
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]

    with pytest.raises(Malformed):
        read_request(part)


@given(st.binary(max_size=200) | st.text("{}[]\",:actionedrw\\u0 ", max_size=100).map(str.encode))
def test_any_bytes_are_a_request_or_malformed(line: bytes) -> None:
    for read in (read_request, read_answer):
        with contextlib.suppress(Malformed):
            read(line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"action":"drain","nwo":true}',  # must not drain the other way
        b'{"action":"drain","now":1}',
        b'{"action":"end"}',
        b'{"action":"end","call_id":null}',
        b'{"action":"stop"}',
        b'{"call_id":"a"}',
        b'["calls"]',
        b"",
        b"GET /calls HTTP/1.1",
        b'{"action":"calls"} {"action":"calls"}',
        b'{"x":' + b"[" * 10_000,  # deeper than a parser may go
        b'{"action":"end","call_id":"\xff"}',
    ],
)
def test_what_is_not_understood_to_the_last_field_is_refused_in_one_line(line: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        read_request(line)

    assert str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_answer_of_a_later_release_is_understood() -> None:
    health = Health(ok=True, ready=True, reasons=[], calls=0, version="9", uptime=1.0, loop_lag=0.0)
    line = write(HealthIs(health)).replace(b'"ok"', b'"moon":{"full":[1]},"ok"')

    assert read_answer(line) == HealthIs(health)


def test_a_name_that_is_no_text_does_not_break_the_list() -> None:
    """A file name of undecodable bytes, as the operating system allows them."""
    answer = read_answer(write(Calls([view("a\udcff", metadata={"\udc80": "x"}), view("b")])))

    assert isinstance(answer, Calls)
    assert [(each.call_id, each.metadata.popitem()[0]) for each in answer.calls] == [("a?", "?"), ("b", "caller")]


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=10), st.binary(max_size=5), st.data())
def test_lines_are_the_same_however_they_are_cut_in_arriving(expected: list[bytes], rest: bytes, data) -> None:
    rest = rest.replace(b"\n", b"")
    stream = b"".join(line + b"\n" for line in expected) + rest
    lines, found = Lines(20), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        lines.feed(stream[:size])
        stream = stream[size:]
        while (line := lines.next()) is not None:
            found.append(line)

    assert found == expected
    assert lines.torn == bool(rest)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_has_a_bound_whether_it_ends_or_not(end: bytes) -> None:
    fits, excessive = Lines(10), Lines(10)
    fits.feed(b"x" * 10 + b"\n")
    excessive.feed(b"x" * 11 + end)

    assert fits.next() == b"x" * 10
    with pytest.raises(Malformed):
        excessive.next()


def test_a_path_is_as_long_as_a_socket_allows() -> None:
    """In bytes: a letter may have several."""
    assert check_path("/" + "x" * 106)
    for path in ("/" + "x" * 107, "/" + "ñ" * 54, "", "/a\0b"):
        with pytest.raises(Problem):
            check_path(path)
