"""What is told of each event, in plain words."""

from __future__ import annotations

import pytest

from supervisor.events import Gap, SessionClosed
from tests.demo.test_drawing import closed, opened, story, transcript


@pytest.mark.parametrize(
    "event, said",
    [
        (closed(), "was closed with 1011 NET-0000 after 3.0 s: retry, next in 0.2 s; 2.0 s are not final"),
        (closed(code=1000, payload=""), "was closed with 1000 after 3.0 s: retry, next in 0.2 s"),
        (closed(code=1006, payload="", reason="reset"), "broke (reset) after 3.0 s: retry"),
        (closed(code=None, payload="", reason="no answer"), "was given up (no answer) after 3.0 s: retry"),
        (closed(code=None, payload="", reason="no way", uptime=0.0), "could not be opened (no way): retry, next"),
        (closed(code=None, payload="", status=503, uptime=0.0), "was refused with HTTP 503: retry, next in 0.2 s"),
        (closed(retry_in=0.01), ": retry, next at once; "),
        (closed(retry_in=None), ": retry, but it has been too long; "),
        (closed(retry_in=None, verdict="abort"), ": abort; "),
    ],
)
def test_how_a_connection_ended_and_what_follows(event: SessionClosed, said):
    line = story(opened(1)).told(event)

    assert line.startswith("-- connection 1 ")
    assert said in line


def test_the_end_that_was_asked_for_is_no_news():
    assert story(opened(1)).told(closed(code=1000, verdict="complete", retry_in=None)) == ""


def test_only_finals_are_lines_and_a_final_without_words_is_none():
    told = story(opened(1))

    assert told.told(transcript("a guess", final=False)) == ""
    assert told.told(transcript("", start=1.0)) == ""
    assert told.told(transcript("a certainty", start=61.0)) == "01:01  a certainty"


def test_a_loss_is_told():
    gap = Gap(call_id="demo", time="", start=61.0, end=63.5, reason="overflow")

    assert story().told(gap) == "-- 2.5 s from 01:01 on will not be transcribed (overflow)"
