"""The socket's place: taken over from the dead, not from the living, and open to the owner and the group alone."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from supervisor.admin.binding import TURN, TURNS, OwnSocket, bind
from supervisor.core.problem import Exit, Problem

from .fake import DEADLINE


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def opened(directory: Path) -> Iterator[int]:
    fd = os.open(directory, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def bound(path: Path) -> None:
    """Bind, look that it can be connected to, and close; raises what bind raises."""

    async def main() -> None:
        with trio.fail_after(DEADLINE):
            async with await bind(str(path)):
                await (await trio.open_unix_socket(str(path))).aclose()

    trio.run(main)


def leave_a_dead_one(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


def refused(path: Path) -> Problem:
    with pytest.raises(Problem) as raised:
        bound(path)
    assert "\n" not in str(raised.value)
    assert raised.value.hint
    return raised.value


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_it_is_for_the_owner_and_the_group_at_every_moment(mask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, before = tmp_path / "s", []
    change = os.chmod

    def chmod(name: str, mode: int) -> None:
        before.append(stat.S_IMODE(os.lstat(name).st_mode))
        change(name, mode)

    async def main() -> int:
        with umask(mask):
            monkeypatch.setattr(os, "chmod", chmod)
            listener = await bind(str(path))
            monkeypatch.undo()
        async with listener:
            return stat.S_IMODE(path.lstat().st_mode)

    assert trio.run(main) == 0o660
    assert before[0] & ~0o660 == 0


def test_it_is_gone_when_it_is_closed(tmp_path: Path) -> None:
    bound(tmp_path / "s")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["nothing", "another", "a file"])
def test_what_is_no_longer_its_own_is_left_alone(what: str, tmp_path: Path) -> None:
    path = tmp_path / "s"

    async def main() -> None:
        async with await bind(str(path)):
            path.unlink()
            if what == "another":
                leave_a_dead_one(path)
            elif what == "a file":
                path.write_text("")

    trio.run(main)
    assert path.exists() == (what != "nothing")


def test_a_dead_daemons_is_replaced(tmp_path: Path) -> None:
    leave_a_dead_one(tmp_path / "s")

    bound(tmp_path / "s")


def test_a_living_ones_is_not_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen()

        assert f"another daemon has {path}" in refused(path).cause
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(path))


def test_one_that_is_too_busy_to_answer_is_alive(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as waiting:
        living.bind(str(path))
        living.listen(0)
        waiting.connect(str(path))

        assert "another daemon" in refused(path).cause


@pytest.mark.parametrize("what", ["file", "directory", "link to nothing", "link to a dead one"])
def test_what_is_no_socket_is_not_removed(what: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    if what == "file":
        path.write_text("precious")
    elif what == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "other")
        if what == "link to a dead one":
            leave_a_dead_one(tmp_path / "other")
    before = sorted(tmp_path.iterdir())

    assert "is not a socket" in refused(path).cause
    assert sorted(tmp_path.iterdir()) == before


def test_another_kind_of_socket_is_another_programs(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))

        assert "cannot make" in refused(path).cause
        assert path.is_socket()


def test_a_directory_that_is_missing_is_said_to_be(tmp_path: Path) -> None:
    problem = refused(tmp_path / "none" / "s")

    assert f"no directory {tmp_path / 'none'}" in problem.cause
    assert problem.exit_code is Exit.CONFIG


def test_a_parent_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    refused(tmp_path / "file" / "s")


def test_a_path_that_no_socket_can_have_is_one_line(tmp_path: Path) -> None:
    assert "bytes" in refused(tmp_path / ("x" * 100)).cause


def test_the_current_directory_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    bound(Path("s"))


def test_nothing_is_left_open_or_behind_where_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unclosed socket would fail the test by its warning."""

    def no_listener(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(OwnSocket, "__init__", no_listener)

    assert "No space left" in refused(tmp_path / "s").hint + refused(tmp_path / "s").cause
    monkeypatch.undo()
    bound(tmp_path / "s")


@pytest.mark.parametrize("released_after, expected", [(0.3, 0.3), (float("inf"), TURN * TURNS)])
def test_daemons_that_start_at_once_take_turns_and_none_waits_for_ever(
    released_after: float, expected: float, tmp_path: Path
) -> None:
    async def main() -> float:
        start = trio.current_time()
        with opened(tmp_path) as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            async with trio.open_nursery() as nursery:

                async def release() -> None:
                    await trio.sleep(released_after)
                    fcntl.flock(held, fcntl.LOCK_UN)

                nursery.start_soon(release)
                listener = await bind(str(tmp_path / "s"))
                nursery.cancel_scope.cancel()
        took = trio.current_time() - start
        await listener.aclose()
        return took

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == pytest.approx(expected, abs=2 * TURN)


def test_the_turn_is_over_when_the_socket_is_there(tmp_path: Path) -> None:
    """Held longer, it would keep a second daemon of the same directory, with another socket, from its start."""

    async def main() -> None:
        async with await bind(str(tmp_path / "s")):
            with opened(tmp_path) as fd:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    trio.run(main)
