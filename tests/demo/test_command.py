"""`stream-supervisor demo` as a newcomer runs it: a process, real time, loopback TCP. The first test takes its 40 s."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from contextlib import contextmanager

import pytest
import trio

from tests.demo.playing import recognises

DEMO = [sys.executable, "-m", "supervisor", "demo"]
WITHOUT = [
    sys.executable,
    "-c",
    "import sys; sys.modules['pocketsphinx'] = None; from supervisor.cli import run; sys.exit(run(['demo']))",
]
ENVIRON = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TERM": "xterm-256color", "DEEPGRAM_API_KEY": ""}


def ran(command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=ENVIRON, **more)


@recognises
def test_the_demo_shows_what_it_claims_within_a_minute():
    """The one slow test: nothing in it is simulated."""
    demo = ran(DEMO)

    assert (demo.returncode, demo.stderr) == (0, "")
    assert "word error rate 0 %, measured" in demo.stdout
    for said in (
        "words       70 of 70, in order, none twice",
        "heard 421,280 = acknowledged 421,280 + lost 0 + withheld 0 + unfinished 0",
        "emulator    421,280 of 421,280 sample frames came and 421,280 became final, by its own count",
        "was closed with 1011 NET-0000",
        "was refused with HTTP 503",
        "was given up (no answer to a ping within 5 s)",
    ):
        assert said in demo.stdout
    assert demo.stdout.splitlines()[-1] == "All of it holds."
    assert "\x1b" not in demo.stdout
    assert demo.stdout.count("\n00:") >= 5


@contextmanager
def started(command, **more):
    with subprocess.Popen(command, env=ENVIRON, start_new_session=True, **more) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(stream, text):
    seen = ""
    while text not in seen:
        line = stream.readline()
        assert line, f"it ended before it said {text!r}: {seen}"
        seen += line
    return seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_one_line_and_the_code_shells_have_for_it(number):
    with started(WITHOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        said = read_until(demo.stdout, "connection 1 is open")
        demo.send_signal(number)
        rest, errors = demo.communicate(timeout=20)

    assert demo.returncode == 128 + number
    assert errors == "stopped before its end: nothing is shown by this run\n"
    assert "All of it holds" not in rest
    assert "pocketsphinx is not installed: instead of the reading you see numbered audio" in said


def test_a_reader_that_has_gone_ends_it_without_a_traceback():
    with started(WITHOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        read_until(demo.stdout, "connection 1 is open")
        demo.stdout.close()
        errors = demo.stderr.read()
        demo.wait(timeout=20)

    assert demo.returncode == 74
    assert errors.count("\n") == 1
    assert "Broken pipe" in errors


def on_a_terminal(command, act, *, size=(24, 80)):
    """All that a command writes to a terminal, and its exit code; `act` gets its process and what there is so far."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(ours, size)
    written = bytearray()

    async def main():
        with started(command, stdin=its, stdout=its, stderr=its) as process, trio.fail_after(30):
            os.close(its)
            acted = False
            while True:
                await trio.lowlevel.wait_readable(ours)
                try:
                    written.extend(os.read(ours, 65536))
                except OSError:  # the last process that had it open has gone
                    break
                if not acted and act(process, bytes(written)):
                    acted = True
            return await trio.to_thread.run_sync(process.wait)

    try:
        code = trio.run(main)
    finally:
        os.close(ours)
    return code, written.decode()


@pytest.mark.parametrize("size", [(24, 80), (3, 20)])
def test_a_terminal_gets_its_screen_and_its_cursor_back(size):
    pytest.importorskip("rich", reason="rich is not installed")

    def interrupt(process, written):
        streaming = b"streaming" in written if size == (24, 80) else b"heard  1." in written
        if streaming:
            process.send_signal(signal.SIGINT)
        return streaming

    code, written = on_a_terminal(WITHOUT, interrupt, size=size)
    before, _, view = written.partition("\x1b[?1049h")
    pictures, _, after = view.partition("\x1b[?1049l")

    assert code == 130
    assert "numbered audio" in " ".join(before.split())
    assert "\x1b[2J" not in pictures  # a screen that is cleared for each picture flickers
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1
    assert "\x1b" not in after
    assert after.endswith("stopped before its end: nothing is shown by this run\r\n")


def test_no_color_and_a_dumb_terminal_are_honoured():
    pytest.importorskip("rich", reason="rich is not installed")

    def interrupt(process, written):
        if b"connection 1" in written:
            process.send_signal(signal.SIGINT)
        return b"connection 1" in written

    _, plain = on_a_terminal(["env", "TERM=dumb", *WITHOUT], interrupt)
    _, grey = on_a_terminal(["env", "NO_COLOR=1", *WITHOUT], interrupt)

    assert "\x1b" not in plain
    assert "\x1b[?1049h" in grey
    assert not any(f"\x1b[{style}3{colour}m" in grey for style in ("", "1;", "3;") for colour in range(8))
