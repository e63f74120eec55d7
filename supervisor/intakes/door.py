"""Where connections come in: who may, how many at once, and that each one is alone in what goes wrong with it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from ipaddress import IPv6Address, ip_address, ip_network

import trio
from structlog.typing import FilteringBoundLogger

from ..config import IntakeConfig
from ..core.address import parse_address
from ..core.plain import plain
from ..core.problem import Exit, Problem
from . import Arrival, Reception
from .line import SocketLine, take_leave

GREETING = 256  # connections at once that have not said yet who they are
CROWD = 256  # connections at once that were not let in, and are given the time to go
BACKLOG = 1024
SHORT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
LATER = 0.5  # seconds after which there may be a descriptor again


class Door:
    """A listening socket and its connections. `greet` finds out who has come; None: nobody that is wanted."""

    def __init__(
        self,
        config: IntakeConfig,
        reception: Reception,
        greet: Callable[[SocketLine], Awaitable[Arrival | None]],
        log: FilteringBoundLogger,
    ) -> None:
        self.config = config
        self._reception = reception
        self._greet = greet
        self._log = log.bind(intake=config.name)
        self._accepting = trio.CancelScope()
        self._greeting = self._dismissed = 0

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        listening = self._bind()
        async with trio.open_nursery() as nursery:
            with listening:
                task_status.started(_spelled(*listening.getsockname()[:2]))
                try:
                    with self._accepting:
                        await self._accept(listening, nursery)
                finally:
                    self._let_in_the_last(listening, nursery)

    def close(self) -> None:
        self._accepting.cancel("nobody is let in any more")

    def _bind(self) -> socket.socket:
        address, port = parse_address(self.config.listen or "")
        family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((str(address), port))
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            taken = error.errno == errno.EADDRINUSE
            why = "another program has it" if taken else error.strerror or str(error)
            name, at = plain(self.config.name, 60), self.config.listen
            raise Problem(f'[[intake]] "{name}" cannot listen at {at}: {why}', "choose another address", Exit.CONFIG) from None
        return listening

    async def _accept(self, listening: socket.socket, nursery: trio.Nursery) -> None:
        stuck = False
        while True:
            await trio.lowlevel.wait_readable(listening)
            try:
                self._let_in(listening, nursery)
            except (BlockingIOError, ConnectionAbortedError):
                continue  # whoever it was has gone
            except OSError as error:
                if not stuck:
                    hint = "raise LimitNOFILE; callers wait" if error.errno in SHORT_OF else "callers wait"
                    self._log.error("intake_stuck", problem=error.strerror, hint=hint)
                stuck = True
                await trio.sleep(LATER)
            else:
                stuck = False

    def _let_in(self, listening: socket.socket, nursery: trio.Nursery) -> None:
        connection, address = listening.accept()
        nursery.start_soon(self._serve, connection, address[0], address[1], nursery)

    def _let_in_the_last(self, listening: socket.socket, nursery: trio.Nursery) -> None:
        """Whoever has connected already would be reset with the listening socket."""
        with suppress(OSError):  # nobody is left
            for _ in range(BACKLOG):
                self._let_in(listening, nursery)

    async def _serve(self, connection: socket.socket, host: str, port: int, nursery: trio.Nursery) -> None:
        """One connection and what becomes of it. Raises nothing but Cancelled.

        A call's source takes leave of its line by itself, while the rest of the call is still delivered.
        """
        line = SocketLine(connection, _spelled(host, port), partial(nursery.start_soon, take_leave, connection))
        try:
            _tune(connection)
            await self._attend(line, host)
        except Exception:
            self._log.exception("intake_crashed", peer=line.peer)
            self._reception.rejected("failed", peer=line.peer)
        finally:
            if not line.left:
                await self._dismiss(connection)  # noqa: ASYNC102  # it bounds and shields itself

    async def _dismiss(self, connection: socket.socket) -> None:
        """Take leave of one that is no call; politely, as long as they do not come faster than they go."""
        self._dismissed += 1
        try:
            await take_leave(connection, None if self._dismissed <= CROWD else 0.0)
        finally:
            self._dismissed -= 1

    async def _attend(self, line: SocketLine, host: str) -> None:
        if not allowed(host, self.config.allow):
            self._reception.rejected("address", peer=line.peer, hint="[[intake]] allow says who may connect")
            return
        if refusal := self._reception.refusal() or (f"{GREETING} connections say nothing" if self._greeting >= GREETING else ""):
            self._reception.rejected("full", peer=line.peer, problem=refusal)
            return
        self._greeting += 1
        try:
            arrival = await self._greet(line)
        finally:
            self._greeting -= 1
        if arrival is not None and (await self._reception.take(arrival)).outcome == "refused":
            self._reception.rejected("full", peer=line.peer, call_id=arrival.call_id, problem=self._reception.refusal())


def allowed(host: str, networks: tuple[str, ...]) -> bool:
    """Whoever is on this machine, and who is named.

    >>> allowed("127.0.0.1", ()), allowed("10.0.0.7", ()), allowed("::ffff:10.0.0.7", ("10.0.0.0/24",))
    (True, False, True)
    """
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return address.is_loopback or any(address in ip_network(network) for network in networks)


def _spelled(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tune(connection: socket.socket) -> None:
    """A peer that is gone without a word is found by the kernel, within 80 seconds."""
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 20), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 3)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
