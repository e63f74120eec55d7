"""Real processes against an emulator on loopback, each test under one deadline."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trio
import trustme

from supervisor.core.audio import AudioFormat
from supervisor.core.wav import header
from supervisor.emulator.numbered import numbered
from supervisor.emulator.plan import Plan
from supervisor.emulator.server import Emulator, listen
from supervisor.emulator.speech import Speech

DEADLINE = 45.0
AUDIO = AudioFormat("linear16", 16000)
SALT = 7


def wav(path, seconds, audio=AUDIO):
    """A file of numbered audio."""
    data = numbered(SALT, 0, audio.frames(seconds) * audio.frame_bytes)
    path.write_bytes(header(audio, len(data)) + data)
    return path


def spoken(seconds, audio=AUDIO):
    return [each.word for each in Speech(SALT, audio.sample_rate).between(0, audio.frames(seconds))]


@dataclass
class Ran:
    """A process that has ended."""

    code: int
    out: bytes
    err: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def words(self) -> list[str]:
        return words_of(self.events)


def words_of(events):
    finals = [event for event in events if event["type"] == "transcript" and event["is_final"]]
    return [word["word"] for final in finals for word in final["words"]]


@dataclass
class Started:
    """A process that runs."""

    process: trio.Process
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    bell: trio.Event = field(default_factory=trio.Event)

    async def until(self, text: bytes, where: str = "out") -> None:
        while text not in getattr(self, where):
            await self.bell.wait()

    async def listens_to_signals(self) -> None:
        """Python itself catches SIGINT; SIGTERM is caught once the program wants to hear of it."""
        status = trio.Path(f"/proc/{self.process.pid}/status")
        while not _caught(await status.read_text()) & 1 << signal.SIGTERM - 1:  # noqa: ASYNC110 - the kernel rings no bell
            await trio.sleep(0.02)

    async def keep(self, stream: trio.abc.ReceiveStream, kept: bytearray) -> None:
        async with stream:
            async for chunk in stream:
                kept += chunk
                self.bell.set()
                self.bell = trio.Event()

    async def reap(self) -> None:
        """Nothing is left running when the test is over, however it ends."""
        try:
            await self.process.wait()
        finally:
            if self.process.returncode is None:
                self.process.kill()
                with trio.move_on_after(2, shield=True):
                    await self.process.wait()


def _caught(status: str) -> int:
    return next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))


async def start(nursery: trio.Nursery, *arguments: str, env: dict[str, str] | None = None, **popen: Any) -> Started:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "supervisor", *map(str, arguments)],
        stdin=popen.pop("stdin", subprocess.DEVNULL),
        stdout=popen.pop("stdout", subprocess.PIPE),
        stderr=popen.pop("stderr", subprocess.PIPE),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "DEEPGRAM_API_KEY": "", **(env or {})},
        **popen,
    )
    started = Started(process)
    nursery.start_soon(started.reap)
    for stream, kept in ((process.stdout, started.out), (process.stderr, started.err)):
        if stream is not None:
            nursery.start_soon(started.keep, stream, kept)
    return started


async def command(*arguments: str, **more: Any) -> Ran:
    """Run one to its end."""
    async with trio.open_nursery() as nursery:
        started = await start(nursery, *arguments, **more)
        await started.process.wait()
    return Ran(started.process.returncode, bytes(started.out), bytes(started.err))


def beside_an_emulator(
    test: Callable[[str, Emulator], Awaitable[None]], plan: Plan | None = None, *, tls: ssl.SSLContext | None = None, **more: Any
) -> None:
    """Run a test with an emulator's URL; whatever it left running is ended."""

    async def main() -> None:
        emulator = Emulator(plan, **more)
        with trio.fail_after(DEADLINE):
            async with trio.open_nursery() as nursery:
                if tls:
                    port = await nursery.start(partial(_listen_tls, emulator, tls))
                    url = f"wss://localhost:{port}/v1/listen"
                else:
                    port = await nursery.start(partial(listen, emulator))
                    url = f"ws://127.0.0.1:{port}/v1/listen"
                await test(url, emulator)
                nursery.cancel_scope.cancel()

    trio.run(main)


async def _listen_tls(emulator, context, *, task_status):
    listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
    task_status.started(listeners[0].transport_listener.socket.getsockname()[1])
    await trio.serve_listeners(emulator.serve, listeners)


def authority(tmp_path):
    """A CA of one's own: its PEM file, and a server's context for localhost."""
    ca = trustme.CA()
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    return path, context
