"""The live view fits any window, shows what matters first, and obeys nothing that is in a text."""

from __future__ import annotations

from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.demo.drawing import LOWEST, NARROWEST, Standing, lasting, picture
from supervisor.demo.story import Story
from supervisor.events import CallEnded, SessionClosed, SessionOpened, Transcript, Word
from supervisor.terminal import columns

rich = pytest.importorskip("rich.console", reason="rich is not installed")

from supervisor.demo.live_view import LiveView  # noqa: E402 - it needs rich

HOSTILE = "\x1b[2J\x1b[31mred\x07 [bold]not bold[/bold] \u202eback\u202c [/] \n\r line"


def transcript(text, *, final=True, start=0.0, end=1.0):
    words = [Word(word=each, start=start, end=end, confidence=1.0) for each in text.split()]
    return Transcript(
        call_id="demo", time="", seq=0 if final else None, segment=0, channel=0, start=start, end=end, text=text,
        is_final=final, speech_final=False, confidence=1.0, words=words, session=1, request_id="", replayed=False,
    )  # fmt: skip


def closed(
    session=1, *, code=1011, reason="", status=None, verdict="retry", retry_in=0.2, payload="NET-0000", uptime=3.0
):
    return SessionClosed(
        call_id="demo", time="", session=session, code=code, reason=reason, status=status, payload=payload, dg_error="",
        err_code="", request_id="", verdict=verdict, advice="wait", retry_in=retry_in, attempt=1, uptime=uptime, sent=3.0,
        server_heard=None, keepalives=0, last_audio_age=None, last_result_age=None, backlog=2.0,
    )  # fmt: skip


def opened(session, replay_from=0.0):
    return SessionOpened(call_id="demo", time="", session=session, request_id="", attempt=1, replay_from=replay_from)


def story(*events):
    told = Story()
    for event in events:
        told.told(event)
    return told


def drawn(told, now=Standing("streaming", 12.0, 8.0, 26.0), width=80, height=24):  # noqa: B008 - it is frozen
    return ["".join(text for _, text in line) for line in picture(told, now, width, height)]


LONG = story(
    opened(1),
    transcript(" ".join(f"word{number}" for number in range(300))),
    *[each for number in range(1, 9) for each in (closed(number), opened(number + 1, 3.0 * number))],
    transcript("and a guess", final=False),
)


@given(st.integers(1, 250), st.integers(1, 80))
@settings(max_examples=300, deadline=None)
def test_no_picture_is_larger_than_its_window(width, height):
    for told in (LONG, Story(), story(opened(1), transcript(HOSTILE + "x" * 300))):
        lines = drawn(told, width=width, height=height)

        assert 1 <= len(lines) <= height
        assert all(not line or columns(line)[-1] <= width for line in lines)


@pytest.mark.parametrize("height", [LOWEST + 1, 6, 7, 8, 9, 10, 15, 24, 50])
@pytest.mark.parametrize("width", [NARROWEST, 60, 80, 200])
def test_the_last_words_and_the_guess_are_in_every_window_that_has_room_for_any(width, height):
    assert " ".join(drawn(LONG, width=width, height=height)).count("guess") == 1


@pytest.mark.parametrize("width, height", [(60, 15), (80, 24), (200, 50)])
def test_the_last_ending_is_shown_whole(width, height):
    lines = drawn(LONG, width=width, height=height)

    assert "connection 8 was closed with 1011 NET-0000" in " ".join(lines)
    assert lines[-1].endswith("retry, sends again from 00:24")
    assert not any(line.startswith("      ") and "connection" not in lines[at - 1] for at, line in enumerate(lines))


def test_how_things_stand_is_told_in_numbers():
    lines = drawn(story(opened(3)))

    assert "streaming  connection 3" in lines[1]
    assert lines[2] == "heard 12.0 s   final  8.0 s   behind  4.0 s"
    assert [lines[3].count(each) for each in "━╍─"] == [22, 11, 39]


def test_a_server_that_has_stopped_answering_is_told_as_such():
    lines = drawn(story(opened(3)), Standing("streaming", 12.0, 8.0, 26.0, quiet=5.2))

    assert "no answer for 5 s" in lines[1]


def test_a_final_ends_the_guess_and_a_successor_is_told_at_all_endings_before_it():
    told = story(
        opened(1), transcript("a guess", final=False), transcript("a certainty"), closed(1),
        closed(2, code=None, status=503, payload=""), opened(3, 7.0),
    )  # fmt: skip

    assert told.guess == ""
    assert told.text == "a certainty"
    assert lasting(told, 80) == [
        "a certainty",
        "",
        "00:03 connection 1 was closed with 1011 NET-0000: retry, sends again from 00:07",
        "00:03 connection 2 was refused with HTTP 503: retry, sends again from 00:07",
    ]


@pytest.mark.parametrize("width", [40, 200])
def test_nothing_in_a_text_is_obeyed(width):
    """Neither what a terminal obeys nor what rich does; not in words, guesses, or the reasons of a server."""
    view, out = live(width=width)
    for event in (
        opened(1), transcript(HOSTILE), closed(1, payload="", reason=HOSTILE), opened(2), transcript(HOSTILE, final=False),
    ):  # fmt: skip
        view.offer(event)
    view._console.print(view.drawn())
    text = out.getvalue()

    assert "[bold]not bold[/bold]" in text.replace("\n", " ")
    assert all(each.isprintable() or each == "\n" for each in text)
    assert all(not line or columns(line)[-1] <= width for line in text.splitlines())
    for line in (view.story.told(transcript(HOSTILE)), view.story.told(closed(3, payload="", reason=HOSTILE))):
        assert line.isprintable()


def live(width=80, height=24, **more):
    out = StringIO()
    console = rich.Console(file=out, width=width, height=height, highlight=False, markup=False, **more)
    return LiveView(console, 26.0), out


def test_without_colour_there_is_no_colour_and_the_bar_is_still_read():
    view, out = live(force_terminal=True, no_color=True, color_system="standard")
    view.offer(opened(1))
    view._console.print(view.drawn())

    assert "\x1b[3" not in out.getvalue().replace("\x1b[3m", "")


def test_a_call_that_ends_leaves_no_guess():
    told = story(opened(1), transcript("a guess", final=False))
    told.told(
        CallEnded(
            call_id="demo", time="", outcome="stopped", sessions=1, closure=None, latency=None, billed=0.0, audio=None
        )
    )

    assert "a guess" not in " ".join(drawn(told))
