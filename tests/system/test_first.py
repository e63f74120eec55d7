"""The first process of a container, in a process namespace of its own, as a container gives it."""

from __future__ import annotations

import fcntl
import functools
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APART = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--pid", "--fork", "--mount-proc", "--kill-child"]
FIRST = "from supervisor.first import go_on_as_a_child as go; import os, signal, sys, time; assert os.getpid() == 1; go(); "
DEADLINE = 20.0


@functools.cache
def impossible() -> str:
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    tried = subprocess.run([*APART, "true"], capture_output=True, text=True, check=False, timeout=DEADLINE)
    return tried.stderr.strip()


@contextmanager
def first(*command: str, program: str = "", **popen: object) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process and the number by which we know the first one in its namespace; all of them end with the context."""
    if why := impossible():
        pytest.skip(f"no process can have a namespace of its own: {why}")
    command = command or (sys.executable, "-c", FIRST + program)
    defaults = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    outside = subprocess.Popen([*APART, *command], cwd=ROOT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, **{**defaults, **popen})  # type: ignore[call-overload]
    with outside:
        try:
            children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children")
            while not (inside := children.read_text().split()):
                assert outside.poll() is None, outside.stderr.read()
                time.sleep(0.01)
            yield outside, int(inside[0])
        finally:
            outside.kill()  # and with it the namespace


def test_orphans_are_waited_for() -> None:
    """Twenty, whose parent is gone before they are; nobody is left but the first, the child and who looks."""
    program = """
import subprocess
subprocess.run(['sh', '-c', 'for each in $(seq 20); do sleep 0.1 & done'])
for _ in range(200):
    found = [int(name) for name in os.listdir('/proc') if name.isdigit()]
    if len(found) == 2: sys.exit(7)
    time.sleep(0.05)
print(found)
"""
    with first(program=program) as (outside, _):
        said, complaint = outside.communicate(timeout=DEADLINE)

    assert (outside.returncode, said, complaint) == (7, b"", b"")


@pytest.mark.parametrize("ending, code", [
    ("sys.exit(0)", 0),
    ("sys.exit(75)", 75),
    ("os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL),
    ("os.kill(os.getpid(), signal.SIGTERM)", 128 + signal.SIGTERM),
])  # fmt: skip
def test_it_ends_as_the_child_does(ending: str, code: int) -> None:
    with first(program=ending) as (outside, _):
        outside.communicate(timeout=DEADLINE)

    assert outside.returncode == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_is_passed_on_and_comes_once(number: signal.Signals) -> None:
    program = f"""
got = []
signal.signal({int(number)}, lambda number, _: got.append(number))
print(flush=True)
while not got: time.sleep(0.01)
time.sleep(0.2)
sys.exit(10 + len(got))
"""
    with first(program=program) as (outside, inside):
        assert outside.stdout
        outside.stdout.readline()
        os.kill(inside, number)
        outside.communicate(timeout=DEADLINE)

    assert outside.returncode == 11


def test_a_stop_that_comes_before_there_is_a_child_is_kept_for_it() -> None:
    early = "import signal, os; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); os.kill(1, signal.SIGTERM); "
    unblocked = "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM]); time.sleep(60)"
    with first(sys.executable, "-c", early + FIRST + unblocked) as (outside, _):
        outside.communicate(timeout=DEADLINE)

    assert outside.returncode == 128 + signal.SIGTERM


def test_the_program_itself_goes_on_as_a_child() -> None:
    with first(sys.executable, "-m", "supervisor", "emulate", "--port", "0") as (outside, inside):
        assert outside.stdout
        assert b"ws://" in outside.stdout.readline()
        assert len(Path(f"/proc/{inside}/task/{inside}/children").read_text().split()) == 1
        os.kill(inside, signal.SIGTERM)
        outside.communicate(timeout=DEADLINE)

    assert outside.returncode == 0


def test_a_ctrl_c_at_a_terminal_comes_once() -> None:
    program = """
got = []
signal.signal(signal.SIGINT, lambda number, _: got.append(number))
print('ready', flush=True)
while not got: time.sleep(0.01)
time.sleep(0.3)
print('got', len(got), flush=True)
"""
    ours, theirs = pty.openpty()
    with first(program=program, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=_controlling):
        os.close(theirs)
        said = b""
        while b"ready" not in said:
            said += os.read(ours, 1000)
        os.write(ours, b"\x03")
        while not re.search(rb"got \d", said):
            said += os.read(ours, 1000)
    os.close(ours)

    assert b"got 1" in said


def _controlling() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
