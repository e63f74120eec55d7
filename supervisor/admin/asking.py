"""The side that asks: one request on a connection of its own, one answer, and a deadline for both together.

It waits in plain system calls, because a health check that runs every few seconds should start quickly.
"""

from __future__ import annotations

import os
import socket
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence

from ..control import CallView
from ..core.plain import plain
from ..core.problem import Exit, Problem
from .protocol import (
    LONGEST_ANSWER,
    LONGEST_REQUEST,
    AnyAnswer,
    AnyRequest,
    Calls,
    Lines,
    ListCalls,
    Malformed,
    Refused,
    check_path,
    read_answer,
    write,
)

DEFAULT = "/run/stream-supervisor/admin.sock"
VARIABLE = "STREAM_SUPERVISOR_SOCKET"
PATIENCE = 10.0  # seconds
PIECE = 64 * 1024
AGAIN = 0.05  # seconds between two tries at a daemon that so many wait for that no more can


class Absent(Problem):
    """No daemon is there, or it has ended."""


def path_of(args: Namespace, environ: Mapping[str, str]) -> str:
    """Where the daemon listens that the command line, else the environment means."""
    return args.socket or environ.get(VARIABLE) or DEFAULT


def ask(path: str, request: AnyRequest, *, patience: float = PATIENCE) -> AnyAnswer:
    """What the daemon answers; raises Problem for a refusal, and Absent where there is no daemon."""
    check_path(path)
    until = time.monotonic() + patience
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as to:
            _connect(to, path, until)
            answer = read_answer(_exchange(to, write(request), path, until))
    except TimeoutError:
        raise Problem(
            f"the daemon at {plain(path)} does not answer within {patience:g} s", "its log may say why", Exit.GAVE_UP
        ) from None
    except FileNotFoundError:
        raise Absent(
            f"there is no daemon at {plain(path)}", "start it, or say with --socket where it listens", Exit.GAVE_UP
        ) from None
    except ConnectionRefusedError:
        raise Absent(
            f"nobody answers at {plain(path)}", "the daemon that listened there has ended", Exit.GAVE_UP
        ) from None
    except PermissionError:
        raise Problem(f"may not connect to {plain(path)}", _who_may(path), Exit.DENIED) from None
    except Malformed as error:
        raise Problem(f"no daemon of this version is at {plain(path)}", str(error), Exit.GAVE_UP) from None
    except OSError as error:
        raise Problem(f"cannot ask the daemon at {plain(path)}", error.strerror or str(error), Exit.GAVE_UP) from None
    if isinstance(answer, Refused):
        raise Problem("the daemon refuses it", plain(answer.why), Exit.GAVE_UP)
    return answer


def calls(path: str) -> Sequence[CallView]:
    """The calls there are; raises like `ask`."""
    answer = ask(path, ListCalls())
    if not isinstance(answer, Calls):
        raise unexpected(path)
    return answer.calls


def unexpected(path: str) -> Problem:
    return Problem(f"no daemon of this version is at {plain(path)}", "it answers another question", Exit.GAVE_UP)


def _connect(to: socket.socket, path: str, until: float) -> None:
    while True:
        try:
            to.settimeout(_left(until))
            return to.connect(path)
        except BlockingIOError:
            time.sleep(AGAIN)


def _exchange(to: socket.socket, request: bytes, path: str, until: float) -> bytes:
    """The line that answers. Even who could not ask to the end listens: it may have been told why."""
    if len(request) > LONGEST_REQUEST:
        raise Problem("the request is too long for the daemon", "no call has so long an id", Exit.NO_INPUT)
    try:
        to.settimeout(_left(until))
        to.sendall(request)
    except (BrokenPipeError, ConnectionResetError):
        pass
    lines = Lines(LONGEST_ANSWER)
    while (line := lines.next()) is None:
        to.settimeout(_left(until))
        try:
            data = to.recv(PIECE)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Absent(f"the daemon at {plain(path)} ended before it answered", "its log may say why", Exit.GAVE_UP)
        lines.feed(data)
    return line


def _left(until: float) -> float:
    """Seconds until then; raises TimeoutError. Never 0, which would mean not to wait at all."""
    if (left := until - time.monotonic()) <= 0:
        raise TimeoutError
    return left


def _who_may(path: str) -> str:
    """Whom the socket, or the nearest directory that can be looked at, is open to."""
    while True:
        try:
            group = os.stat(path).st_gid  # noqa: PTH116  # of a path that is text, as sockets have it
            break
        except OSError:
            if (path := os.path.dirname(path)) in ("", "/"):  # noqa: PTH120
                return "ask whoever runs the daemon"
    return f"it is open to the user that runs the daemon and to the group {_group_named(group)}: join it, or use sudo"


def _group_named(number: int) -> str:
    import grp  # late: only who is refused needs it

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
