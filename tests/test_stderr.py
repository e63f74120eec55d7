"""Standard error may break, fill up or stop being read: lines are dropped and counted, and nobody waits."""

from __future__ import annotations

import json
import os
import pty
import socket
import threading
import tty
from pathlib import Path

import pytest

from supervisor.logs import Stderr


def test_a_full_disk_drops_lines_and_says_how_many_later(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    stderr = Stderr(full)
    stderr.msg(b"one")
    stderr.msg(b"two")
    with (tmp_path / "log").open("wb") as file:
        os.dup2(file.fileno(), full)
        stderr.msg(b"three")
    os.close(full)
    notice, line = (tmp_path / "log").read_bytes().splitlines()

    assert json.loads(notice) == {"event": "log_lines_dropped", "level": "warning", "count": 2}
    assert line == b"three"
    assert stderr.dropped == 0


@pytest.mark.parametrize("fd", [None, 987654])
def test_a_closed_one(fd: int | None) -> None:
    stderr = Stderr(fd)
    stderr.msg(b"one")

    assert stderr.dropped == 1


def test_one_whose_reader_has_left() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    stderr = Stderr(writes)
    stderr.msg(b"one")
    os.close(writes)

    assert stderr.dropped == 1


@pytest.mark.parametrize("size", [10, 3000, 10_000, 100_000])
@pytest.mark.parametrize("kind", ["pipe", "terminal", "socket"])
def test_one_that_is_not_read_never_blocks(kind: str, size: int) -> None:
    """A terminal is stopped with ^S; a socket is what journald gives."""
    if kind == "pipe":
        reads, writes = os.pipe()
    elif kind == "terminal":
        reads, writes = pty.openpty()
        tty.setraw(writes)
    else:
        one, other = socket.socketpair()
        reads, writes = one.detach(), other.detach()
    stderr, done = Stderr(writes), threading.Event()

    def fill() -> None:
        while stderr.dropped < 10:
            stderr.msg(b"x" * size)
        done.set()

    threading.Thread(target=fill, daemon=True).start()
    ended = done.wait(10)
    os.close(reads)
    os.close(writes)

    assert ended


def test_when_it_is_read_again_each_line_is_whole_and_what_is_missing_is_counted() -> None:
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    stderr = Stderr(writes)
    sent, got = 0, b""
    for _ in range(5):
        for _ in range(100):
            sent += 1
            stderr.msg(b'{"event":"%06d","pad":"%s"}' % (sent, b"x" * 3000))
        while True:
            try:
                got += os.read(reads, 65536)
            except BlockingIOError:
                break
    stderr.msg(b'{"event":"last"}')
    got += os.read(reads, 65536)
    os.close(reads)
    os.close(writes)
    whole, dropped = [], 0
    for line in got.splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # torn, and counted as dropped
            continue
        dropped += event.get("count", 0)
        whole.append(event["event"])
    numbers = [name for name in whole if name.isdigit()]

    assert whole[-1] == "last"
    assert numbers == sorted(set(numbers))
    assert dropped
    assert len(numbers) + dropped == sent
