"""The status line: never wider than the terminal, gone before a line comes, and nothing in it that a terminal obeys."""

from __future__ import annotations

import os
import pty
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.problem import Exit, Problem
from supervisor.sinks.lines import WholeLines
from supervisor.sinks.screen import ScreenSink, terminal_width
from supervisor.sinks.writing import at_once
from tests.sinks.glass import Glass
from tests.sinks.making import Log, closed, ended, gap, guessed, said, started

# Letters of one and two columns and of none, and what a terminal would obey.
ANY_TEXT = st.text(st.sampled_from("ab 漢字e\u0301\u200d👩\x1b[]\x07\x9b\n\r\t;mHJK02\ud800\u202e"), max_size=60)
Steps = list[tuple[str, str, float]]
STEPS = st.lists(
    st.tuples(st.sampled_from(["guess", "final", "move", "gap", "closed", "wait"]), ANY_TEXT, st.floats(0, 9000)), max_size=15
)


def shown(steps: Steps, width: int, *, call_id: str = "c") -> tuple[Glass, list[str]]:
    """What is on the terminal at the end, and the rows of it whenever the sink had nothing to do."""
    with tempfile.TemporaryFile() as file:
        sink = ScreenSink(
            log=Log().log, open_lines=lambda: WholeLines(os.dup(file.fileno())), width=lambda: width, in_thread=at_once
        )
        glass = Glass(width)
        lasts: list[str] = []

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                await nursery.start(sink.run)
                for number, (step, text, seconds) in enumerate(steps):
                    match step:
                        case "guess":
                            sink.offer(guessed(text, segment=number, call_id=call_id))
                        case "final":
                            sink.offer(said(text, segment=number, call_id=call_id))
                        case "move":
                            sink.progress(seconds, seconds / 2)
                        case "gap":
                            sink.offer(gap(seconds, seconds + 1, call_id=call_id))
                        case "closed":
                            sink.offer(closed(call_id, payload=text))
                        case _:
                            await trio.sleep(1)
                            glass.feed(os.pread(file.fileno(), 1 << 20, 0)[len(fed) :])
                            fed.extend(os.pread(file.fileno(), 1 << 20, 0)[len(fed) :])
                            lasts.append(glass.text[-1])
                sink.close()

        fed = bytearray()
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        glass.feed(os.pread(file.fileno(), 1 << 20, 0)[len(fed) :])
    return glass, lasts


@settings(max_examples=60)
@given(STEPS, st.integers(1, 60))
def test_the_status_line_never_wraps_and_leaves_nothing_behind(steps: Steps, width: int) -> None:
    statuses = [step for step in steps if step[0] in ("guess", "move", "wait")]
    glass, _ = shown(statuses, width)

    assert glass.wrapped == 0
    assert glass.widest < max(width, 2)
    assert glass.text == [""]


@settings(max_examples=60)
@given(STEPS)
def test_what_stays_is_the_lines_alone(steps: Steps) -> None:
    """Whatever status lines were between them."""
    glass, _ = shown(steps, 10_000)
    without, _ = shown([step for step in steps if step[0] not in ("guess", "move")], 10_000)

    assert glass.text == without.text
    assert glass.text[-1] == ""


def test_the_status_line_is_the_position_what_is_left_and_the_guess() -> None:
    steps = [("move", "", 75.0), ("wait", "", 0), ("guess", "hello wor", 0), ("wait", "", 0), ("final", "hello world", 0),
             ("wait", "", 0)]  # fmt: skip
    glass, lasts = shown(steps, 60)

    assert lasts == ["01:15  00:37 left", "01:15  00:37 left  hello wor", "01:15  00:37 left"]
    assert glass.text == ["00:00  hello world", ""]


def test_of_a_long_guess_the_end_is_shown() -> None:
    steps = [("move", "", 75.0), ("guess", "one two three four", 0), ("wait", "", 0)]

    assert shown(steps, 31)[1] == ["01:15  00:37 left  three four"]
    assert shown([steps[0], ("guess", "漢字漢字漢字漢字", 0), steps[2]], 25)[1] == ["01:15  00:37 left  漢字"]


def test_no_escape_of_an_id_or_a_transcript_reaches_the_terminal() -> None:
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m"
    glass, _ = shown([("move", "", 1.0), ("final", f"{evil}words", 0), ("closed", evil, 0)], 80, call_id=evil)

    assert glass.text[0] == "00:00  words"


def test_the_status_of_a_call_ends_with_it() -> None:
    with tempfile.TemporaryFile() as file:
        sink = ScreenSink(
            log=Log().log, open_lines=lambda: WholeLines(os.dup(file.fileno())), width=lambda: 80, in_thread=at_once
        )

        async def main() -> bytes:
            async with trio.open_nursery() as nursery:
                await nursery.start(sink.run)
                sink.progress(10.0)
                sink.offer(guessed("gu"))
                await trio.sleep(1)
                sink.offer(ended())
                await trio.sleep(1)
                before = os.pread(file.fileno(), 1 << 20, 0)
                sink.close()
            return before

        glass = Glass(80)
        glass.feed(trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)))

    assert glass.text[-1] == ""


def on_terminal(body: Callable[[ScreenSink, trio.Nursery], Awaitable[None]]) -> bytes:
    """What a real terminal was sent."""
    master, slave = pty.openpty()
    got = bytearray()

    def reader() -> None:
        try:
            while data := os.read(master, 4096):
                got.extend(data)
        except OSError:  # the last of the other side has closed
            pass

    thread = threading.Thread(target=reader, daemon=True)
    thread.start()
    output = WholeLines(os.dup(slave))
    sink = ScreenSink(log=Log().log, open_lines=lambda: output, width=lambda: terminal_width(slave))

    async def main() -> None:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                await nursery.start(sink.run)
                await body(sink, nursery)
            if nursery.cancel_scope.cancel_called:  # a thread may still be writing, so it is left open
                output.close()

    try:
        trio.run(main)
    finally:
        os.close(slave)
        thread.join(10)
        os.close(master)
    return bytes(got)


@pytest.mark.parametrize("cancelled", [True, False])
def test_however_it_ends_the_status_line_is_gone(cancelled: bool) -> None:
    async def body(sink: ScreenSink, nursery: trio.Nursery) -> None:
        for number in range(5):
            sink.progress(number)
            sink.offer(guessed(f"guess {number}"))
            await trio.sleep(0.03)
        if cancelled:
            nursery.cancel_scope.cancel()
        else:
            sink.close()

    glass = Glass(80)
    glass.feed(on_terminal(body).replace(b"\r\n", b"\n"))

    assert glass.text == [""]


def test_a_terminal_that_is_gone_ends_the_output() -> None:
    master, slave = pty.openpty()
    sink = ScreenSink(log=Log().log, open_lines=lambda: WholeLines(os.dup(slave)), width=lambda: 80)
    os.close(master)
    sink.offer(started())

    async def main() -> None:
        with trio.fail_after(10):
            await sink.run()

    with pytest.raises(Problem, match="cannot write the transcript") as failed:
        trio.run(main)
    os.close(slave)

    assert failed.value.exit_code is Exit.OUTPUT
    assert sink.undelivered() == [started()]


def test_without_a_terminal_there_is_a_usual_width(tmp_path: Path) -> None:
    master, slave = pty.openpty()  # which nobody has told its size
    with (tmp_path / "file").open("w") as file:
        widths = [terminal_width(file.fileno()), terminal_width(slave)]
    os.close(master)
    os.close(slave)

    assert widths == [80, 80]
