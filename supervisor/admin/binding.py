"""The socket's place in the file system: taken over from the dead, never from the living, and never open to everybody.

The mode is set on the socket before it has a name, so that there is no moment at which others could connect (Linux
gives the name the mode of the socket, less the umask). Two daemons that start at once take turns, or each would find
the other's socket, not yet listened at, and take it for a dead one's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

from ..core.plain import plain
from ..core.problem import Exit, Problem
from .protocol import check_path

MODE = 0o660
BACKLOG = 128
TURNS, TURN = 20, 0.05  # times and seconds that another daemon's start is waited for
ELSEWHERE = "choose another [admin] socket"


class OwnSocket(trio.abc.Listener[trio.SocketStream]):
    """A listening unix socket that removes its name when it is closed, if the name is still its own."""

    def __init__(self, path: str, listening: socket.socket) -> None:
        self.path = path
        self._identity = _identity(path)
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))

    async def accept(self) -> trio.SocketStream:
        return await self._listener.accept()

    async def aclose(self) -> None:
        # While the socket is open its inode is not given to another, and a daemon that starts sees that we live.
        with suppress(OSError):
            if _identity(self.path) == self._identity:
                os.unlink(self.path)  # noqa: PTH108  # of a path that is text, as sockets have it
        await self._listener.aclose()


def _identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino


async def bind(path: str) -> OwnSocket:
    """Listen at the path, for the owner and the group alone; raises Problem."""
    check_path(path)
    parent = os.path.dirname(path) or "."  # noqa: PTH120
    try:
        async with _turn(parent):
            return _bind(path)
    except FileNotFoundError:
        raise Problem(
            f"no directory {plain(parent)} for the admin socket", f"make it, or {ELSEWHERE}", Exit.CONFIG
        ) from None
    except OSError as error:
        why = error.strerror or str(error)
        raise Problem(f"cannot make the admin socket {plain(path)}: {why}", ELSEWHERE, Exit.CONFIG) from None


@asynccontextmanager
async def _turn(directory: str) -> AsyncIterator[None]:
    """Alone among the daemons that start in this directory. Whoever holds others up is waited for, but not for long."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for _ in range(TURNS):
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await trio.sleep(TURN)
        yield
    finally:
        os.close(held)


def _bind(path: str) -> OwnSocket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listening.fileno(), MODE)
        try:
            listening.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _make_way(path)
            listening.bind(path)
        os.chmod(path, MODE)  # noqa: PTH101  # what the umask has taken of the group's part
        listening.listen(BACKLOG)
        return OwnSocket(path, listening)
    except BaseException:
        listening.close()
        raise


def _make_way(path: str) -> None:
    """Remove a dead daemon's socket; raises Problem where there is anything else."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise Problem(f"{plain(path)} is there, and is not a socket", f"remove it, or {ELSEWHERE}", Exit.CONFIG)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as asking:
        answer = asking.connect_ex(path)
    if answer == errno.ECONNREFUSED:
        os.unlink(path)  # noqa: PTH108
    elif answer in (0, errno.EAGAIN):  # EAGAIN: so many wait for it that no more can
        raise Problem(f"another daemon has {plain(path)}", f"stop it, or {ELSEWHERE}", Exit.CONFIG)
    elif answer != errno.ENOENT:
        raise OSError(answer, os.strerror(answer))
