"""Transcripts for people: what was said and when, where something is missing, and nothing that a terminal would obey."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.events import Event, SessionOpened
from supervisor.sinks.text import TextLines
from tests.sinks.making import closed, ended, gap, guessed, said, started, word

ANY_TEXT = st.text(st.one_of(st.characters(exclude_categories=()), st.sampled_from("\x1b[]\x07\x9b\x9d\n\r;mHJK0123")))


def text(*events: Event) -> list[str]:
    lines = TextLines()
    return [lines.line(event).decode() for event in events]


def opened(session: int, replay_from: float = 0.0) -> SessionOpened:
    return SessionOpened(call_id="c", time="", session=session, request_id="r", attempt=1, replay_from=replay_from)


@pytest.mark.parametrize(
    "event, expected",
    [
        (said("Hello there.", start=75.9), "01:15  Hello there.\n"),
        (said("late", start=3675.0), "1:01:15  late\n"),
        (said("", start=1.0), ""),
        (said("  "), ""),
        (guessed("gu"), ""),
        (gap(61, 63.5), "01:01  -- 2.5 s are not transcribed (overflow)\n"),
        (closed(uptime=3.0, backlog=2.0),
         "-- the connection was closed with 1011 NET-0001 after 3.0 s: next try in 0.5 s; 2.0 s are not final\n"),
        (closed(code=1006, payload="", reason="reset", uptime=3.0, backlog=2.0, retry_in=0.0),
         "-- the connection broke (reset) after 3.0 s: next try at once; 2.0 s are not final\n"),
        (closed(code=None, payload="", reason="cannot reach it: refused", uptime=0.0, backlog=2.0),
         "-- the connection could not be opened (cannot reach it: refused): next try in 0.5 s; 2.0 s are not final\n"),
        (closed(code=None, payload="", reason="no answer to a ping", uptime=9.0, backlog=2.0),
         "-- the connection was given up (no answer to a ping) after 9.0 s: next try in 0.5 s; 2.0 s are not final\n"),
        (opened(1), ""),
        (opened(2, replay_from=65.0), "-- connected again, from 01:05 on\n"),
        (closed(code=None, payload="", reason="", retry_in=None, advice="check the key", status=401, uptime=0.0),
         "-- the connection was refused with HTTP 401: check the key\n"),
        (closed(verdict="complete"), ""),
        (ended(), "c: complete, 10.0 s heard, all of it transcribed\n"),
        (ended(acknowledged=7.5), "c: complete, 10.0 s heard, 2.5 s of it not transcribed\n"),
    ],
)  # fmt: skip
def test_each_event_has_its_line(event: Event, expected: str) -> None:
    assert text(event) == [expected]


def test_channels_are_named_where_there_are_several() -> None:
    found = text(started("c", "caller", ""), said("a"), said("b", channel=1), gap(channel=1), said("d", call_id="other"))

    assert found[1:] == [
        "00:00  [caller] a\n",
        "00:00  [channel 1] b\n",
        "00:01  -- [channel 1] 1.0 s are not transcribed (overflow)\n",
        "00:00  d\n",
    ]


def test_speakers_take_turns() -> None:
    words = [word("so", 0), word("yes", 0), word("no", 1), word("hm"), word("well", 0)]

    assert text(said("so yes no hm well", words=words)) == ["00:00  (0) so yes (1) no hm (0) well\n"]


@given(ANY_TEXT)
def test_words_from_elsewhere_are_one_line_that_no_terminal_obeys(words: str) -> None:
    lines = TextLines()
    for event in [
        started(words, words, words, source=words),
        said(words, call_id=words, channel=1, words=[word(words, 1)]),
        said(words, call_id=words),
        gap(call_id=words, channel=0),
        closed(words, payload=words, advice=words, retry_in=None),
        ended(words),
    ]:
        line = lines.line(event).decode()

        assert line.count("\n") == line.endswith("\n") == bool(line)
        assert all(character >= " " and not "\x7f" <= character <= "\x9f" for character in line.rstrip("\n"))
        assert not set("\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069") & set(line)


@pytest.mark.parametrize("words", ["می\u200cروم", "👩\u200d👩\u200d👧", "हिन्दी", "世界", "e\u0301"])
def test_no_letter_of_any_language_is_lost(words: str) -> None:
    assert text(said(words)) == [f"00:00  {words}\n"]


def test_colour_is_ours_alone() -> None:
    line = TextLines(colour=True).line(gap()).decode()

    assert line == "\x1b[2m00:01\x1b[0m  \x1b[33m-- 1.0 s are not transcribed (overflow)\x1b[0m\n"
