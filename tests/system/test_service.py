"""The daemon as a call center runs it: real processes, an Asterisk that is played, a Deepgram that dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import uuid
from functools import partial

import pytest
import trio

from supervisor.core.audio import AudioFormat
from supervisor.emulator.asterisk import Hold, Leg
from supervisor.emulator.callers import place
from supervisor.emulator.faults import Reset
from supervisor.emulator.numbered import numbered
from supervisor.emulator.plan import Plan
from supervisor.emulator.speech import Speech
from tests.system.processes import DEADLINE, beside_an_emulator, command, start, words_of

SLIN8 = AudioFormat("linear16", 8000)
CONFIG = """
version = 1
[deepgram]
url = "{url}"
{deepgram}
[limits]
drain_timeout = 30
[retry]
longest = 1
[[intake]]
name = "pbx"
kind = "audiosocket"
listen = "127.0.0.1:{port}"
[[sink]]
kind = "files"
directory = "{directory}"
[admin]
socket = "{directory}.sock"
[metrics]
listen = "127.0.0.1:{metrics}"
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Site:
    """A config, and what is asked of whoever runs it."""

    def __init__(self, tmp_path, url, deepgram=""):
        self.directory = tmp_path / "transcripts"
        self.port, self.metrics = free_port(), free_port()
        self.path = tmp_path / "supervisor.toml"
        self.write(url, deepgram)

    def write(self, url, deepgram=""):
        text = CONFIG.format(
            url=url, deepgram=deepgram, port=self.port, directory=self.directory, metrics=self.metrics
        )
        self.path.write_text(text)

    async def ask(self, *arguments):
        return await command(*arguments, "--socket", f"{self.directory}.sock")

    async def get(self, path):
        async with await trio.open_tcp_stream("127.0.0.1", self.metrics) as stream:
            await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while data := await stream.receive_some():
                answer += data
        return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2].decode()

    def transcript(self, leg):
        found = [path for path in self.directory.iterdir() if path.name.startswith(str(leg.uuid))]
        (path,) = found
        return [json.loads(line) for line in path.read_text().splitlines()]


def leg(seconds, salt=1, **more):
    frames = round(seconds * 50)
    return Leg(uuid.uuid4(), lambda n: numbered(salt, n * 320, 320) if n < frames else b"", 0x10, **more)


def spoken(seconds, salt=1):
    return [word.word for word in Speech(salt, 8000).between(0, SLIN8.frames(seconds))]


def check_whole(site, one, seconds, salt):
    events = site.transcript(one)

    assert not one.torn_down, one.verdict
    assert words_of(events) == spoken(seconds, salt)
    assert events[-1]["outcome"] == "complete"
    assert events[-1]["audio"]["lost"] == events[-1]["audio"]["unfinished"] == 0
    assert events[-1]["audio"]["heard_frames"] == round(seconds * 8000)


def test_calls_come_are_seen_and_a_signal_in_the_middle_loses_nothing(tmp_path):
    async def test(url, emulator):
        site = Site(tmp_path, url)
        async with trio.open_nursery() as nursery:
            service = await start(nursery, "run", site.path)
            await service.until(b'"ready"', "err")
            legs = [leg(6.0, salt) for salt in (1, 2)]
            nursery.start_soon(partial(place, legs, "127.0.0.1", site.port, spread=0.1))
            await trio.sleep(2.5)
            shown = await site.ask("calls")
            assert shown.code == 0
            assert all(str(one.uuid) in shown.out.decode() for one in legs)
            assert (await site.ask("health")).code == 0
            assert (await site.get("/readyz"))[0] == 200
            assert 'stream_supervisor_calls{state="streaming"} 2.0' in (await site.get("/metrics"))[1]
            service.process.send_signal(signal.SIGTERM)
            await service.until(b'"draining"', "err")
            status, why = await site.get("/readyz")
            assert (status, why) == (503, "draining\n")
            assert (await site.get("/livez"))[0] == 200
            late = leg(2.0, 3)
            await place([late], "127.0.0.1", site.port)
            assert "cannot connect" in late.verdict
            await service.process.wait()
        assert service.process.returncode == 0
        for salt, one in enumerate(legs, 1):
            check_whole(site, one, 6.0, salt)
        assert (await site.ask("health")).code == 1

    beside_an_emulator(test)


def test_a_deepgram_that_is_killed_and_comes_back_costs_nothing(tmp_path):
    """kill -9, four seconds of nothing, and another process at the same port."""
    port = free_port()

    async def main():
        site = Site(tmp_path, f"ws://127.0.0.1:{port}/v1/listen")
        with trio.fail_after(DEADLINE):
            async with trio.open_nursery() as nursery:
                deepgram = await start(nursery, "emulate", "--port", str(port))
                await deepgram.until(b"ws://")
                service = await start(nursery, "run", site.path)
                await service.until(b'"ready"', "err")
                legs = [leg(12.0, salt) for salt in (1, 2)]
                nursery.start_soon(partial(place, legs, "127.0.0.1", site.port, spread=0.1))
                await trio.sleep(4)
                deepgram.process.kill()
                await trio.sleep(4)
                again = await start(nursery, "emulate", "--port", str(port), "--seed", "1")
                await again.until(b"ws://")
                while any(not one.verdict for one in legs):  # noqa: ASYNC110
                    await trio.sleep(0.1)
                service.process.send_signal(signal.SIGTERM)
                await service.process.wait()
                again.process.terminate()
            assert service.process.returncode == 0
            for salt, one in enumerate(legs, 1):
                check_whole(site, one, 12.0, salt)

    trio.run(main)


def test_a_key_is_rotated_with_sighup_and_a_wrong_config_changes_nothing(tmp_path):
    key = tmp_path / "key"
    key.write_text("a" * 40)
    key.chmod(0o600)

    async def test(url, emulator):
        site = Site(tmp_path, url, f'api_key = "file:{key}"')
        async with trio.open_nursery() as nursery:
            service = await start(nursery, "run", site.path)
            await service.until(b'"ready"', "err")
            one = leg(9.0)
            nursery.start_soon(partial(place, [one], "127.0.0.1", site.port, spread=0.1))
            await trio.sleep(2)
            good = site.path.read_text()
            site.path.write_text(good.replace("version = 1", "version = 1\nversoin = 2"))
            answer = await site.ask("reload")
            assert answer.code == 78
            assert b"versoin" in answer.err + answer.out
            site.path.write_text(good)
            key.write_text("b" * 40)
            emulator._api_key = "b" * 40
            service.process.send_signal(signal.SIGHUP)
            await service.until(b'"reloaded"', "err")
            await emulator_drops(emulator)
            while not one.verdict:  # noqa: ASYNC110
                await trio.sleep(0.1)
            service.process.send_signal(signal.SIGTERM)
            await service.process.wait()
        assert service.process.returncode == 0
        check_whole(site, one, 9.0, 1)
        assert b"a" * 40 not in service.err
        assert b'"uid":%d' % os.getuid() in service.err
        assert [connection.status for connection in emulator.proof.connections] == [101, 101]

    beside_an_emulator(test, Plan([Reset(audio=5.0)]), api_key="a" * 40)


async def emulator_drops(emulator):
    """The plan's reset, which comes once five seconds have been heard."""
    while len(emulator.proof.connections) < 2:  # noqa: ASYNC110
        await trio.sleep(0.05)


def test_a_held_caller_is_kept_on_the_line_for_real(tmp_path):
    """Asterisk hangs up after two seconds without a frame either way: here three pass, and the clock goes on."""
    async def test(url, emulator):
        site = Site(tmp_path, url)
        async with trio.open_nursery() as nursery:
            service = await start(nursery, "run", site.path)
            await service.until(b'"ready"', "err")
            one = leg(5.0, holds=(Hold(2.0, 3.0),))
            await place([one], "127.0.0.1", site.port, spread=0.1)
            service.process.send_signal(signal.SIGTERM)
            await service.process.wait()
        events = site.transcript(one)
        assert not one.torn_down, one.verdict
        assert one.heard >= 2
        assert words_of(events) == spoken(5.0)
        assert events[-1]["audio"]["filled"] == pytest.approx(3.0, abs=0.25)
        assert events[-1]["audio"]["heard"] == pytest.approx(8.0, abs=0.25)

    beside_an_emulator(test)


def test_an_address_that_is_taken_ends_the_start_with_a_line(tmp_path):
    async def test(url, emulator):
        site = Site(tmp_path, url)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", site.port))
            taken.listen()
            ran = await command("run", site.path)
        assert ran.code == 78
        assert b'[[intake]] "pbx" cannot listen at' in ran.err
        assert b"Traceback" not in ran.err

    beside_an_emulator(test)
