"""A service with everything private planted in what comes to it, and all that it lets out.

Its calls come from telephones that are played and from senders that break every rule. Deepgram fails, refuses, and repeats
the key in what it says; the receiver of the webhook repeats what it got.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import trio

from supervisor.emulator.asterisk import Leg
from supervisor.emulator.callers import place
from supervisor.emulator.engine import NumberedEar
from supervisor.emulator.faults import Close, Garbage, Refuse, Reset
from supervisor.emulator.numbered import numbered
from tests.system.canaries import ALIAS, CALLEE, CALLER, KEY, LOCAL, SECRET, SOUND, SPOKEN, TYPED
from tests.system.processes import command, start
from tests.system.test_service import free_port

CONFIG = """
version = 1
[deepgram]
url = "{url}"
api_key = "file:{key}"
[limits]
drain_timeout = 5
[retry]
longest = 0.5
[[intake]]
name = "pbx"
kind = "audiosocket"
listen = "127.0.0.1:{pbx}"
[[intake]]
name = "raw"
kind = "tcp"
listen = "127.0.0.1:{raw}"
[intake.metadata]
dnis = "{callee}"
[[sink]]
kind = "files"
directory = "{directory}"
[[sink]]
kind = "webhook"
url = "http://127.0.0.1:{webhook}/{name}"
secret = "file:{secret}"
interims = true
[admin]
socket = "{directory}.sock"
[metrics]
listen = "127.0.0.1:{metrics}"
"""
UNPARSED = f'{{"call_id": "{CALLER}", "metadata": {{"caller": "{CALLEE}"'.encode()
MALFORMED = (
    f'{{"call_id": {ALIAS}}}\n'.encode(), f'{{"{CALLER}": "{ALIAS}"}}\n'.encode(), UNPARSED, UNPARSED + b"\n",
    f'{{"call_id": "{CALLER}", "encoding": "{CALLER}", "sample_rate": 8000}}\n'.encode(),
)  # fmt: skip
ODD = [Garbage(what=what, audio=0.1) for what in ("text", "json", "error", "unknown", "binary")]
PLAN = [
    [*ODD, Close(audio=1.0, code=1011, reason=f"no room for {KEY} of {CALLER}")],
    Refuse(status=503, err_msg=f"no room for Token {KEY} of {CALLER}", body=f"no room for {KEY}, {CALLER}"),
    [*ODD, Reset(audio=1.0)],
]  # fmt: skip


class Words(NumberedEar):
    """What it hears can be told from everything else there is."""

    def words(self, channel, upto):
        return [each._replace(word=SPOKEN + each.word, written=SPOKEN + each.written) for each in super().words(channel, upto)]


class Engine:
    name = "words"

    def refuses(self, audio):
        del audio
        return ""

    def listen(self, audio, runs):
        return Words(audio, runs)


class Telephone(Leg):
    """The caller presses a key after every tenth frame."""

    def due(self, now):
        before, out = self.frames // 10, super().due(now)
        if self.frames // 10 > before:
            out += b"\x03\x00\x01" + TYPED[before % len(TYPED) :][:1]
        return out


def telephone(seconds, audio):
    frames = round(seconds * 50)
    return Telephone(uuid.uuid4(), lambda n: audio(n) if n < frames else b"", 0x10)


def hummed(n):
    """A frame of the sound, wherever it begins in it."""
    return (SOUND * 40)[n % len(SOUND) :][:320]


def frame(kind, payload):
    return bytes([kind]) + len(payload).to_bytes(2, "big") + payload


class Receiver:
    """An HTTP server that takes events; what first comes to each path it refuses. All that it gets it repeats."""

    def __init__(self):
        self.taken = b""
        self.heard = trio.Event()  # somebody has said something
        self._known = set()  # paths

    async def serve(self, stream):
        with suppress(trio.BrokenResourceError):
            async with stream:
                data = b""
                while more := await stream.receive_some():
                    data += more
                    head, end, body = data.partition(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]) if end else 0
                    if not end or len(body) < length:
                        continue
                    self.taken, data = self.taken + head + body, b""
                    path = head.split()[1]
                    status = "200 OK" if path in self._known else "500 No"
                    self._known.add(path)
                    if SPOKEN.encode() in body:
                        self.heard.set()
                    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(head + body)}\r\n\r\n".encode()
                    await stream.send_all(answer + head + body)


@dataclass
class Site:
    """A service, and all that it lets out."""

    name: str
    directory: object
    url: str
    webhook: int
    arguments: tuple[str, ...]
    journal: bool = False

    def __post_init__(self):
        self.directory.mkdir()
        self.path, self.told = self.directory / "supervisor.toml", self.directory / "told"
        self.transcripts, self.socket = self.directory / "transcripts", self.directory / "transcripts.sock"
        self.ports = {name: free_port() for name in ("pbx", "raw", "metrics")}
        self.out: dict[str, bytes] = {}
        self.key, secret = self.directory / "key", self.directory / "secret"
        for file, held in ((self.key, KEY), (secret, SECRET)):
            file.write_text(held)
            file.chmod(0o600)
        self.config = CONFIG.format(
            url=self.url, key=self.key, secret=secret, directory=self.transcripts, webhook=self.webhook, callee=CALLEE,
            name=self.name, **self.ports,
        )  # fmt: skip

    async def run(self, receiver):
        """The service from its start to its end, with its calls and its operator."""
        self.path.write_text(self.config)
        with (self.directory / "stderr").open("w+b") as err, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(str(self.told))
            status = os.fstat(err.fileno())
            env = {"NOTIFY_SOCKET": str(self.told)}
            if self.journal:
                env["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
            async with trio.open_nursery() as nursery:
                service = await start(nursery, "run", self.path, *self.arguments, stderr=err, env=env)
                while b"ready" not in (text := os.pread(err.fileno(), 1 << 24, 0)):
                    assert service.process.returncode is None, text
                    await trio.sleep(0.05)
                async with trio.open_nursery() as calls:
                    self.legs = [telephone(3.0, lambda n: numbered(1, n * 320, 320)), telephone(1.5, hummed)]
                    calls.start_soon(partial(place, self.legs, "127.0.0.1", self.ports["pbx"], spread=0.1))
                    await self.bad_senders(calls)
                    while CALLER.encode() not in self.out.get("admin calls", b""):
                        await self.operate("admin calls", {"action": "calls"})
                    await self.ask("while calls run")
                    await receiver.heard.wait()
                    await self.ask("once something was heard")
                service.process.send_signal(signal.SIGTERM)
                await service.process.wait()
            self.code = service.process.returncode
            self.out |= {"stderr": os.pread(err.fileno(), 1 << 24, 0), "stdout": bytes(service.out)}
            systemd.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    self.out["sd_notify"] = self.out.get("sd_notify", b"") + systemd.recv(65536) + b"\n"

    async def bad_senders(self, nursery):
        head = {"encoding": "linear16", "sample_rate": 8000}
        metadata = {"caller": CALLER, "to": LOCAL, "note": f"rings back at {ALIAS}"}
        called = json.dumps({**head, "call_id": CALLER, "metadata": metadata}).encode() + b"\n"
        again = json.dumps({"call_id": CALLEE, "encoding": "mulaw", "sample_rate": 8000}).encode() + b"\n"
        pbx = frame(0x01, uuid.uuid4().bytes) + frame(0x10, SOUND * 16)
        nursery.start_soon(self.send, "raw", called + numbered(2, 0, 48000))
        for start_of_call in (called, again):
            nursery.start_soon(partial(self.send, "raw", start_of_call + SOUND * 800, reset=True))
        for head in MALFORMED:
            nursery.start_soon(self.send, "raw", head)
        for broken in (SOUND, pbx + frame(0x03, TYPED), pbx + frame(0x7F, SOUND), pbx + frame(0x10, SOUND + b"!!")):
            nursery.start_soon(self.send, "pbx", broken)

    async def send(self, intake, data, *, reset=False):
        with suppress(trio.BrokenResourceError):
            async with await trio.open_tcp_stream("127.0.0.1", self.ports[intake]) as stream:
                await stream.send_all(data)
                if reset:
                    await trio.sleep(0.5)
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    return
                await stream.send_eof()
                while await stream.receive_some():
                    pass

    async def ask(self, when):
        """All that can be asked, and a reload of a config that somebody has put the key into."""
        for request in (
            {"action": "calls"}, {"action": "health"}, {"action": "pause", "call_id": CALLER}, {"action": "resume", "call_id": CALLER},
            {"action": "end", "call_id": ALIAS}, {"action": "drain", "call_id": CALLER}, {"action": "reload"},
        ):  # fmt: skip
            if request["action"] == "reload":
                self.path.write_text(self.config.replace(f"file:{self.key}", KEY))
            await self.operate(f"admin {request['action']} {when}", request)
        self.path.write_text(self.config)
        for path in ("/metrics", "/livez", "/readyz", f"/{KEY}/{CALLER}"):
            stream = await trio.open_tcp_stream("127.0.0.1", self.ports["metrics"])
            await self.exchange(f"{path} {when}", stream, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        if self.journal:  # the commands show what the socket answers: they are the same for all
            for words in (("calls",), ("calls", "--json"), ("calls", "show", CALLER), ("calls", "show", CALLER, "--json"), ("health",)):
                ran = await command(*words, "--socket", self.socket)
                self.out[f"{' '.join(words)} {when}"] = ran.out + ran.err

    async def operate(self, name, request):
        await self.exchange(name, await trio.open_unix_socket(str(self.socket)), json.dumps(request).encode() + b"\n")

    async def exchange(self, name, stream, request):
        async with stream:
            await stream.send_all(request)
            await stream.send_eof()
            self.out[name] = b""
            while data := await stream.receive_some():
                self.out[name] += data
