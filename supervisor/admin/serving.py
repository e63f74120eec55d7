"""The side that answers: what an operator may see and change, each change with a line that says who made it.

Whoever asks can neither stop the daemon nor slow it down: there are bounds for what is sent, for how long it may take,
for how many may ask at once, and the list of the calls is made a few times a second at most, however often it is
wanted. Who may ask at all is decided by the socket's owner and group.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

import trio
from structlog.typing import FilteringBoundLogger

from ..control import Control
from .binding import bind
from .protocol import (
    LONGEST_REQUEST,
    Answer,
    AnyRequest,
    AskHealth,
    Calls,
    Done,
    Drain,
    End,
    HealthIs,
    Lines,
    ListCalls,
    Malformed,
    Pause,
    Refused,
    Reload,
    Reloaded,
    Resume,
    UnknownCall,
    read_request,
    write,
)

MOST = 64  # connections at once
REQUEST = 10.0  # seconds until a request has come, from the opening or the answer before
WRITE = 5.0  # seconds until whoever asked has read the answer
FAREWELL = 1.0  # the same while the daemon ends
RELOAD = 60.0  # seconds that a reload may take; it may have to run a command that prints a key
FRESH = 0.25  # seconds for which a list of the calls is good
PIECE = 4096


class Peer(NamedTuple):
    """Who connected, as the kernel says (SO_PEERCRED, unix(7)): the ids at that time."""

    pid: int
    uid: int
    gid: int


def peer_of(stream: trio.SocketStream) -> Peer:
    ids = struct.Struct("3i")
    return Peer(*ids.unpack(bytes(stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, ids.size))))


async def serve(
    path: str,
    control: Control,
    log: FilteringBoundLogger,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer at the path until cancelled; raises Problem, before it has started, where it cannot be listened at."""
    listener = await bind(path)
    answering = Answering(control, log)

    async def attend(stream: trio.SocketStream) -> None:
        await answering.attend(stream, peer_of(stream))

    async with listener:
        task_status.started(path)
        await trio.serve_listeners(attend, [listener])


class Answering:
    """What all connections share. A connection's trouble is its own: the others and the daemon go on."""

    def __init__(self, control: Control, log: FilteringBoundLogger) -> None:
        self._control = control
        self._log = log
        self._open = 0
        self._listed: tuple[float, bytes] | None = None  # when, and the answer

    async def attend(self, stream: trio.abc.Stream, peer: Peer) -> None:
        """One connection to its end. Raises nothing but Cancelled; closing the stream is left to the caller."""
        self._open += 1
        try:
            if self._open > MOST:
                await _send(stream, write(Refused(f"{MOST} connections are open already: try again")))
            else:
                await self._converse(stream, peer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # whoever asked has left
        finally:
            self._open -= 1

    async def _converse(self, stream: trio.abc.Stream, peer: Peer) -> None:
        lines = Lines(LONGEST_REQUEST)
        why = "the daemon failed at it; its log says how"
        try:
            while (line := await _line(stream, lines)) is not None:
                request = read_request(line)
                looks = isinstance(request, ListCalls | AskHealth)
                answer = self._look(request) if looks else await self._change(request, peer)
                # Of a change the answer is due even if the daemon ends by it, as it may by a drain.
                if not await _send(stream, answer, surely=not looks):
                    return
            return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise
        except Malformed as malformed:
            why = str(malformed)
        except Exception as error:
            self._log.error("admin_failed", uid=peer.uid, pid=peer.pid, exc_info=error)
        await _send(stream, write(Refused(why)))

    def _look(self, request: AnyRequest) -> bytes:
        return write(HealthIs(self._control.health())) if isinstance(request, AskHealth) else self._list()

    def _list(self) -> bytes:
        now = trio.current_time()
        if self._listed is None or now - self._listed[0] >= FRESH:
            self._listed = now, write(Calls(self._control.calls()))
        return self._listed[1]

    async def _change(self, request: AnyRequest, peer: Peer) -> bytes:
        """Do it, and leave the line that tells of it, whatever becomes of it."""
        outcome = "interrupted"
        self._listed = None
        try:
            answer, outcome = await self._done(request)
            return write(answer)
        except Exception:
            outcome = "failed"
            raise
        finally:
            action = str(request.__struct_config__.tag)
            self._log.info("admin", uid=peer.uid, pid=peer.pid, action=action, **_details(request), outcome=outcome)

    async def _done(self, request: AnyRequest) -> tuple[Answer, str]:
        """The answer, and the outcome in a word."""
        control = self._control
        match request:
            case Drain(now):
                control.drain(now=now)
                return Calls(control.calls()), "done"
            case Reload():
                with trio.move_on_after(RELOAD):
                    faults = await control.reload()
                    return Reloaded(faults), "refused" if faults else "done"
                return Refused(f"it was not done within {RELOAD:g} s, and was given up"), "timeout"
            case End(call_id):
                found = control.end(call_id)
            case Pause(call_id):
                found = control.pause(call_id)
            case Resume(call_id):
                found = control.resume(call_id)
            case _:
                raise AssertionError(request)
        return (Done(), "done") if found else (UnknownCall(), "unknown_call")


def _details(request: AnyRequest) -> dict[str, object]:
    match request:
        case Drain(now):
            return {"now": now}
        case End(call_id) | Pause(call_id) | Resume(call_id):
            return {"call_id": call_id}
    return {}


async def _line(stream: trio.abc.Stream, lines: Lines) -> bytes | None:
    """The next line, or None at the end; raises Malformed."""
    with trio.move_on_after(REQUEST):
        while (line := lines.next()) is None:
            if not (data := await stream.receive_some(PIECE)):
                if lines.torn:
                    raise Malformed("the last line has no end")
                return None
            lines.feed(data)
        return line
    raise Malformed(f"no request within {REQUEST:g} s")


async def _send(stream: trio.abc.Stream, line: bytes, *, surely: bool = False) -> bool:
    """Whether it was taken in time."""
    with trio.CancelScope(shield=True) if surely else trio.CancelScope() as sending:
        sending.deadline = trio.current_time() + (FAREWELL if surely else WRITE)
        await stream.send_all(line)
        return True
    return False
