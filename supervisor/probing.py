"""Trying a config out, before the first caller does: the way to the server, and a session with each set of options.

Each session is what a call would have: the product's own dial, key and options, two seconds of silence at the pace of
speech, CloseStream, and the server's last words. What keeps it from its end is told as it would be told of a call.
"""

from __future__ import annotations

import math
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import trio

from .config import CallConfig, Config, IntakeConfig
from .config.checking import audio_of
from .connection import Closed, Connection, Endpoint, connect, first
from .core.audio import AudioFormat
from .core.catalogue import advice, entry_of
from .core.closure import Closure
from .core.dialect import LISTEN_V1
from .core.messages import Error, Metadata, Results
from .core.model_info import model_named
from .core.options import check_options
from .core.options.spelling import Value
from .core.plain import plain
from .core.problem import Exit, Problem
from .dial import Route
from .service import Deepgram

SILENCE = 2.0  # seconds of audio in each session; they are billed
PIECE = 0.1  # seconds of it in a frame
PATIENCE = 10.0  # seconds from CloseStream to the end
COMPLAINTS = 3  # of a server, that are told
SOON = 14.0  # days before a certificate expires, from which on somebody should know

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Probe:
    """Options and audio that some calls and intakes have in common."""

    names: tuple[str, ...]
    options: Mapping[str, Value]
    audio: AudioFormat


class Failed(Problem):
    """What was found: a line for each."""

    def __init__(self, faults: list[Problem]) -> None:
        super().__init__(faults[0].cause, faults[0].hint, faults[0].exit_code)
        self.faults = faults


def probes_of(config: Config) -> list[Probe]:
    """One for each different request that the config can lead to, in its order; raises Problem for wrong options."""
    found: dict[tuple[tuple[str, str], ...], Probe] = {}
    of: tuple[CallConfig | IntakeConfig, ...] = (*config.intakes, *config.calls)
    for each in of:
        options = config.options(each)
        audio = (each.format() if isinstance(each, CallConfig) else None) or audio_of(each, options)
        query = check_options(options, audio, config.deepgram.url).query
        name = f'[[{"call" if isinstance(each, CallConfig) else "intake"}]] "{plain(each.name, 60)}"'
        known = found.get(query)
        found[query] = Probe((*(known.names if known else ()), name), options, audio)
    return list(found.values())


async def try_out(
    config: Config, deepgram: Deepgram, route: Route, *, tell: Tell, warn: Tell, wall: Callable[[], float] = time.time
) -> None:
    """Tell what was found, a line at a time; raises Failed with all that is wrong.

    Takes at most `connect_timeout` for the way, and that and 15 s for each probe.
    """
    probes = probes_of(config)
    several = f"{len(probes)} different requests with {SILENCE:g} s of silence each"
    tell(f"\n# {several if probes[1:] else f'{SILENCE:g} s of silence'}, which Deepgram bills")
    with trio.move_on_after(config.settings.session.connect_timeout):
        await look_at(route, tell=tell, warn=warn, wall=wall)
    faults: list[Problem] = []
    for probe in probes:
        names = ", ".join(probe.names)
        try:
            service = deepgram.offer(probe.options)(probe.audio, str(uuid.uuid4()))
            endpoint = await service.endpoint()
        except Problem as problem:
            faults.append(Problem(f"{names}: {problem.cause}", problem.hint, problem.exit_code))
            break  # the key is the same for all
        found = await talk(endpoint, probe.audio)
        for complaint in found.complaints:
            warn(f"{names}: the server complained: {complaint}")
        if found.complete:
            tell(f"{names}: {probe.audio.encoding} {probe.audio.sample_rate} Hz, {found.told()}")
            continue
        faults.append(_problem(names, found))
        if found.closure.status is None and not found.closure.opened:
            break  # nor will any other be reached
    if faults:
        raise Failed(faults)


# The way


async def look_at(route: Route, *, tell: Tell, warn: Tell, wall: Callable[[], float]) -> None:
    """The name, TCP and TLS, each by itself, as far as they go: the first session tells what is in the way."""
    if route.proxy:
        tell(f"{route.host}: through the proxy that HTTPS_PROXY names, which resolves it")
        return
    try:
        began = trio.current_time()
        addresses = await trio.socket.getaddrinfo(route.host, route.port, type=trio.socket.SOCK_STREAM)
        shown = ", ".join(dict.fromkeys(str(address[4][0]) for address in addresses))
        tell(f"{route.host}: resolves to {shown} in {_ms(began)}")
        began = trio.current_time()
        async with await trio.open_tcp_stream(route.host, route.port) as stream:
            tell(f"{route.host}: port {route.port} answers in {_ms(began)}")
            if route.tls:
                began = trio.current_time()
                secured = trio.SSLStream(stream, route.tls, server_hostname=route.host, https_compatible=True)
                await secured.do_handshake()
                days = (ssl.cert_time_to_seconds(secured.getpeercert()["notAfter"]) - wall()) / 86400
                tell(f"{route.host}: {secured.version()} in {_ms(began)}, and its certificate is good for {days:.0f} days")
                if days < SOON:
                    warn(f"the certificate of {route.host} expires in {days:.0f} days")
    except (OSError, UnicodeError, trio.BrokenResourceError):
        return


def _ms(began: float) -> str:
    return f"{1000 * (trio.current_time() - began):.0f} ms"


# A session


@dataclass
class Found:
    """What a session was like. Times are seconds: to the upgrade from the dial, to the others from the upgrade."""

    closure: Closure
    request_id: str = ""
    model: str = ""
    opening: float = 0.0
    message: float | None = None
    result: float | None = None
    complaints: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return LISTEN_V1.completes(self.closure) and not self.closure.undecoded

    def told(self) -> str:
        answer = f"first result after {self.result:.2f} s" if self.result is not None else f"no result of silence, first message after {self.message or 0.0:.2f} s"
        return f"request id {plain(self.request_id, 60)}, model {self.model or 'not told'}, opened in {self.opening:.2f} s, {answer}"


async def talk(endpoint: Endpoint, audio: AudioFormat) -> Found:
    """From dial to closure."""
    found = Found(Closure())
    began = trio.current_time()
    session = _Talk(found, audio)
    try:
        async with connect(endpoint) as connection:
            found.opening = trio.current_time() - began
            await session.run(connection)
    except* Closed as group:
        found.closure = first(group).closure
    found.closure = replace(
        found.closure,
        opened=session.opened,
        request_id=found.closure.request_id or found.request_id,
        finishing=session.closing,
        metadata=session.metadata is not None,
        server_heard=session.metadata.duration if session.metadata else None,
        sent=audio.seconds(session.sent),
    )
    return found


class _Talk:
    """Two tasks, as a session has; the one that hears raises Closed."""

    def __init__(self, found: Found, audio: AudioFormat) -> None:
        self.found = found
        self.audio = audio
        self.opened = self.closing = False
        self.sent = 0  # frames
        self.metadata: Metadata | None = None
        self._waiting = trio.CancelScope(deadline=math.inf)

    async def run(self, connection: Connection) -> None:
        self.opened, self.found.request_id = True, connection.request_id
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._speak, connection)
            with self._waiting:
                await self._hear(connection)
            connection.abandon()
            nursery.cancel_scope.cancel()
            self.found.closure = Closure(reason=f"no end within {PATIENCE:g} s of CloseStream")

    async def _speak(self, connection: Connection) -> None:
        began, frames = trio.current_time(), self.audio.frames(PIECE)
        for piece in range(round(SILENCE / PIECE)):
            if connection.ready:  # else it has closed, or the network is slow; both are for whoever hears
                connection.put(self.audio.silence(frames))
                self.sent += frames
            await trio.sleep_until(began + (piece + 1) * PIECE)
        self.closing = True
        self._waiting.deadline = trio.current_time() + PATIENCE
        await connection.say(LISTEN_V1.close_stream)

    async def _hear(self, connection: Connection) -> None:
        began = trio.current_time()
        while True:
            message = await connection.hear()
            after, told = trio.current_time() - began, LISTEN_V1.parse(message)
            found = self.found
            found.message = after if found.message is None else found.message
            found.model = found.model or model_named(message)
            if isinstance(told, Results) and found.result is None:
                found.result = after
            if isinstance(told, Metadata):
                self.metadata = told
            if isinstance(told, Error) and len(found.complaints) < COMPLAINTS:
                found.complaints.append(plain(f"{told.variant or told.code}: {told.description or told.message}"))


def _problem(names: str, found: Found) -> Problem:
    """What a call's log would say of it."""
    closure = found.closure
    entry = entry_of(closure)
    said = advice(closure)
    if not entry.overridable:  # all went well but for this
        said = "it was closed without a Metadata before. Does the server speak Deepgram's protocol?"
    if closure.status is None and closure.reason and plain(closure.reason) not in said:
        said = f"{plain(closure.reason)}: {said}"
    later = f" (it asks to be left alone for {closure.retry_after:g} s)" if closure.retry_after else ""
    request = f" (request id {plain(closure.request_id, 60)})" if closure.request_id else ""
    code = entry.exit_code if entry.exit_code is not Exit.OK else Exit.GAVE_UP
    return Problem(f"{names}: {said}{later}{request}", "", code)
