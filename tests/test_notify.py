"""What systemd is told, on a real socket; and that nothing happens where nobody listens."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.notify import Notifier, watchdog_interval


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, Notifier]]:
    address = str(tmp_path / "notify") if request.param == "path" else f"\0stream-supervisor-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(5)
        yield listening, Notifier({"NOTIFY_SOCKET": address.replace("\0", "@")})


def test_each_state_is_one_datagram(systemd: tuple[socket.socket, Notifier]) -> None:
    listening, notifier = systemd
    told = [notifier.ready(), notifier.stopping(), notifier.watchdog(), notifier.extend_timeout(1.5), notifier.extend_timeout(-1)]

    assert told == [True] * 5
    assert [listening.recv(4096) for _ in told] == [
        b"READY=1", b"STOPPING=1", b"WATCHDOG=1", b"EXTEND_TIMEOUT_USEC=1500000", b"EXTEND_TIMEOUT_USEC=0",
    ]  # fmt: skip


def test_a_status_is_one_line_and_no_other_state(systemd: tuple[socket.socket, Notifier]) -> None:
    listening, notifier = systemd
    notifier.status("3 calls\nREADY=1 \x1b[2J\ud800")

    assert listening.recv(4096) == b"STATUS=3 calls READY=1 [2J"


def test_reloading_has_the_monotonic_time(systemd: tuple[socket.socket, Notifier]) -> None:
    listening, notifier = systemd
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    found = re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=(\d+)", listening.recv(4096))

    assert found
    assert before <= int(found[1]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_systemd_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        told = [notifier.watchdog() for _ in range(10_000)]

    assert told[0]
    assert not told[-1]


@pytest.mark.parametrize("address", ["", "/none/such", "x" * 500, "/a\0b", "/etc/passwd", "\udcff"])
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    assert not Notifier({"NOTIFY_SOCKET": address}).ready()
    assert not Notifier({}).ready()


@pytest.mark.parametrize(
    "environ, expected",
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": ""}, None),
    ],
)
def test_signs_of_life_are_wanted_from_this_process_alone(environ: dict[str, str], expected: float | None) -> None:
    assert watchdog_interval(environ, pid=7) == expected
