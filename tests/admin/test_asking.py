"""Whoever asks gets an answer or one line that says what is in the way, within a time, whatever answers there."""

from __future__ import annotations

import grp
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from supervisor.admin.asking import DEFAULT, VARIABLE, Absent, ask, path_of
from supervisor.admin.protocol import AskHealth, Done, End
from supervisor.core.problem import Exit, Problem

from .test_binding import leave_a_dead_one

NOBODY, NAMELESS = 65534, 54321


@contextmanager
def liar(path: Path, *says: bytes, every: float = 0.0, reads: bool = True, leaves: bool = True) -> Iterator[None]:
    """Something at the path that says what it is told to, and then leaves or waits."""
    over = threading.Event()

    def talk() -> None:
        peer, _ = listening.accept()
        with peer, suppress(OSError):
            if reads:
                peer.recv(1000)
            for each in says:
                peer.sendall(each)
                over.wait(every)
            if not leaves:
                over.wait(10)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(10)
        talking = threading.Thread(target=talk)
        talking.start()
        try:
            yield
        finally:
            over.set()
            talking.join()


def problem_of(path: Path | str, patience: float = 5.0) -> Problem:
    with pytest.raises(Problem) as raised:
        ask(str(path), AskHealth(), patience=patience)
    assert "\n" not in str(raised.value)
    assert raised.value.hint
    return raised.value


def test_no_socket_is_no_daemon_and_how_to_find_another(tmp_path: Path) -> None:
    problem = problem_of(tmp_path / "s")

    assert isinstance(problem, Absent)
    assert str(tmp_path / "s") in problem.cause
    assert "--socket" in problem.hint


@pytest.mark.parametrize("what", ["dead socket", "file"])
def test_what_nobody_listens_at_is_no_daemon(what: str, tmp_path: Path) -> None:
    if what == "file":
        (tmp_path / "s").write_text("")
    else:
        leave_a_dead_one(tmp_path / "s")

    assert isinstance(problem_of(tmp_path / "s"), Absent)


@pytest.mark.parametrize("says", [b"", b'{"answer":"done"}', b'{"ans'])
@pytest.mark.parametrize("reads", [True, False])
def test_an_end_before_the_answers_end_is_no_daemon_any_more(says: bytes, reads: bool, tmp_path: Path) -> None:
    """One that has left unread what it was asked is told of by a reset."""
    with liar(tmp_path / "s", says, reads=reads):
        problem = problem_of(tmp_path / "s")

    assert isinstance(problem, Absent)
    assert "ended before it answered" in problem.cause


@pytest.mark.parametrize(
    "says", [b"SSH-2.0-OpenSSH\r\n", b'{"answer":"moon"}\n', b'{"answer":"health"}\n', b"\n", b"[" * 100_000 + b"\n"]
)
def test_what_is_no_answer_is_another_program_or_version(says: bytes, tmp_path: Path) -> None:
    with liar(tmp_path / "s", says):
        problem = problem_of(tmp_path / "s")

    assert "no daemon of this version" in problem.cause
    assert not isinstance(problem, Absent)


@pytest.mark.parametrize("says", [(), (b"x",) * 1000])
def test_the_deadline_is_one_for_all_and_no_byte_now_and_then_lengthens_it(says: tuple[bytes, ...], tmp_path: Path) -> None:
    """As of a daemon that is stopped, or whose loop is blocked."""
    start = time.monotonic()
    with liar(tmp_path / "s", *says, every=0.05, leaves=False):
        problem = problem_of(tmp_path / "s", patience=0.2)
        took = time.monotonic() - start

    assert "does not answer within 0.2 s" in problem.cause
    assert took >= 0.2


def test_a_daemon_that_nobody_more_can_wait_for_is_tried_until_the_deadline(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(tmp_path / "s"))
        busy.listen(0)
        waiting.connect(str(tmp_path / "s"))

        assert "does not answer" in problem_of(tmp_path / "s", patience=0.2).cause


def test_the_reason_for_a_refusal_is_shown_even_to_who_could_not_ask(tmp_path: Path) -> None:
    """Over the bound the daemon tells, and leaves, before it is asked."""
    with liar(tmp_path / "s", b'{"answer":"refused","why":"64 are\\u001b[2J open"}\n', reads=False):
        problem = problem_of(tmp_path / "s")

    assert problem.hint == "64 are [2J open"


def test_an_id_that_no_call_can_have_is_not_sent(tmp_path: Path) -> None:
    with liar(tmp_path / "s", b'{"answer":"done"}\n'), pytest.raises(Problem) as raised:
        ask(str(tmp_path / "s"), End("x" * 20_000))

    assert raised.value.exit_code is Exit.NO_INPUT


def test_an_answer_that_comes_in_pieces(tmp_path: Path) -> None:
    with liar(tmp_path / "s", b'{"answer"', b':"done"', b"}", b"\n"):
        assert ask(str(tmp_path / "s"), AskHealth()) == Done()


@contextmanager
def as_a_stranger(path: Path) -> Iterator[None]:
    """Permissions do not hold for root, and a socket's owner may lose them."""
    if os.geteuid() != 0:
        path.chmod(0)
        yield
        path.chmod(0o700)
    else:
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("shut", ["socket", "directory"])
def test_who_may_not_ask_is_told_which_group_may(shut: str) -> None:
    parent = Path(tempfile.mkdtemp())  # pytest's own directories are closed to a stranger as a whole
    try:
        parent.chmod(0o711)
        directory = parent / "run"
        directory.mkdir(mode=0o711 if shut == "socket" else 0o700)
        path = directory / "s"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen()
            path.chmod(0o660)
            group = grp.getgrgid(path.stat().st_gid).gr_name
            if shut == "socket" and os.geteuid() == 0:  # a stranger to root keeps root's groups here
                os.chown(path, -1, NAMELESS)
                group = str(NAMELESS)
            with as_a_stranger(path if shut == "socket" else directory):
                problem = problem_of(path)
    finally:
        shutil.rmtree(parent)

    assert problem.exit_code is Exit.DENIED
    assert f"the group {group}" in problem.hint


def test_a_path_that_no_socket_can_have_is_one_line() -> None:
    assert "bytes" in problem_of("/" + "x" * 200).cause


class Args:
    def __init__(self, path: str | None) -> None:
        self.socket = path


@pytest.mark.parametrize(
    "given, environ, expected",
    [("/a", {VARIABLE: "/b"}, "/a"), (None, {VARIABLE: "/b"}, "/b"), (None, {VARIABLE: ""}, DEFAULT), (None, {}, DEFAULT)],
)
def test_the_command_line_goes_before_the_environment(given: str | None, environ: dict[str, str], expected: str) -> None:
    assert path_of(Args(given), environ) == expected  # type: ignore[arg-type]
