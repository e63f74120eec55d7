"""The image, built from the Dockerfile and run as its README says: read-only, without a right, with little memory."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from supervisor.emulator.callers import place
from tests.real.containers import CONFINED, IMAGE, USER, Podman, container
from tests.real.machine import needs
from tests.system.processes import beside_an_emulator, words_of
from tests.system.test_service import free_port, leg, spoken

NOBODY = "ws://127.0.0.1:9/v1/listen"
CONFIG = """
version = 1
[deepgram]
url = "{url}"
[[intake]]
name = "pbx"
kind = "{kind}"
listen = "127.0.0.1:{port}"
[[sink]]
kind = "files"
directory = "/var/lib/stream-supervisor/transcripts"
[admin]
[metrics]
listen = "127.0.0.1:{metrics}"
"""
# A command that leaves an orphan behind: the inner shell is gone at once, its `sleep` a second later.
COMMAND = """
[[call]]
name = "line"
source = 'command:sh -c "setsid sh -c \\"sleep 1 &\\"; exec cat /dev/zero"'
encoding = "linear16"
sample_rate = 8000
"""
MEMORY = 192 * 1024**2


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    needs("buildah", "podman", "runc", "mmdebstrap")
    directory = tmp_path_factory.mktemp("containers")
    podman = Podman(directory)
    try:
        podman.build(directory)
        yield podman
    finally:
        podman.clear()


class Site:
    """A config, and where its daemon then listens."""

    def __init__(self, url=NOBODY, kind="audiosocket"):
        self.port, self._metrics = free_port(), free_port()
        self.config = CONFIG.format(url=url, kind=kind, port=self.port, metrics=self._metrics)

    async def metrics(self):
        async with await trio.open_tcp_stream("127.0.0.1", self._metrics) as stream:
            await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            lines = b"".join([part async for part in stream]).decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name.startswith("stream_supervisor")}


def until_ready(container, seconds=20):
    for _ in range(seconds * 5):
        if container.health() == 0:
            return
        time.sleep(0.2)
    pytest.fail(container.log())


def test_it_says_what_it_is_and_is_nobody(podman):
    shown = json.loads(podman("image", "inspect", IMAGE).stdout)[0]["Config"]
    labels = {name.rpartition(".")[2]: value for name, value in shown["Labels"].items()}

    assert (labels["version"], labels["revision"], labels["source"]) == ("1.2.3", "abc", "https://example.com/fork")
    assert shown["User"] == f"{USER}:{USER}"
    assert "stream-supervisor 0." in podman("run", "--rm", *CONFINED, IMAGE, "--version").stdout


def test_nothing_is_writable_but_the_transcripts_and_there_is_nothing_to_install_with(podman, tmp_path):
    paths = [f"{place}/x" for place in ("", "/tmp", "/opt/stream-supervisor", "/etc/stream-supervisor", "/var/lib/stream-supervisor")]
    with container(podman, tmp_path, Site().config) as running:
        until_ready(running)
        written = [path for path in paths if running.does("python3", "-c", f"open({path!r}, 'w')", check=False).returncode == 0]
        pip = running.does("python3", "-m", "pip", check=False)

    assert written == ["/var/lib/stream-supervisor/x"]
    assert "No module named pip" in pip.stderr


def test_it_is_healthy_without_deepgram_and_not_when_its_loop_stands_still(podman, tmp_path):
    """What is away comes back to the audio that is kept; what stands still keeps nothing."""
    with container(podman, tmp_path, Site().config) as running:
        until_ready(running)
        (service,) = children(int(running.inspect(".State.Pid")))
        os.kill(service, signal.SIGSTOP)
        stopped = running.health()
        os.kill(service, signal.SIGCONT)
        again = running.health()

    assert (stopped, again) == (1, 0)


def children(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_stop_during_calls_waits_for_them_and_loses_nothing(podman, tmp_path):
    async def test(url, emulator):
        site = Site(url)
        with container(podman, tmp_path, site.config) as running:
            await trio.to_thread.run_sync(until_ready, running)
            legs = [leg(8.0, salt) for salt in (1, 2)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(place, legs, "127.0.0.1", site.port)
                await trio.sleep(2.5)
                listed = (await podman.does("exec", running.name, "stream-supervisor", "calls")).stdout
                began = time.monotonic()
                await podman.does("stop", "--time=40", running.name)
                took = time.monotonic() - began
            assert running.inspect(".State.ExitCode") == "0"
        assert all(str(one.uuid) in listed for one in legs)
        assert took > 3
        for salt, one in enumerate(legs, 1):
            events = [json.loads(line) for line in (running.kept / f"transcripts/{one.uuid}.jsonl").read_text().splitlines()]
            assert not one.torn_down, one.verdict
            assert words_of(events) == spoken(8.0, salt)
            assert events[-1]["audio"]["lost"] == events[-1]["audio"]["unfinished"] == 0

    beside_an_emulator(test)


def test_more_audio_than_fits_its_memory_is_told_and_the_kernel_kills_nobody(podman, tmp_path):
    """Half of the memory is for audio. Three times all of it comes at once, and Deepgram is away."""
    lost = 'stream_supervisor_audio_lost_seconds_total{reason="overflow"}'

    async def send(port):
        header = {"call_id": uuid.uuid4().hex, "encoding": "linear16", "sample_rate": 48000, "channels": 2}
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(json.dumps(header).encode() + b"\n")
            for _ in range(MEMORY // 2**16):
                await stream.send_all(bytes(2**16))
            await stream.send_eof()
            with suppress(trio.BrokenResourceError):
                await stream.receive_some()

    async def main():
        site = Site(kind="tcp")
        with trio.fail_after(60), container(podman, tmp_path, site.config, f"--memory={MEMORY}", f"--memory-swap={MEMORY}") as running:
            until_ready(running)
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(send, site.port)
                while not (await site.metrics()).get(lost):  # noqa: ASYNC110 - another process
                    await trio.sleep(0.2)
                await trio.sleep(5)
                seen = await site.metrics()
                nursery.cancel_scope.cancel()
            assert running.inspect(".State.Status") == "running"
            assert running.inspect(".State.OOMKilled") == "false"
        assert seen["stream_supervisor_buffer_limit_bytes"] == MEMORY // 2
        assert seen["stream_supervisor_buffer_bytes"] == pytest.approx(MEMORY // 2, rel=0.05)

    trio.run(main)


def test_nobody_stays_behind_whom_nobody_waits_for(podman, tmp_path):
    def states(running):
        found = running.does("sh", "-c", "cat /proc/[0-9]*/status").stdout
        return [line.split()[1] for line in found.splitlines() if line.startswith("State:")]

    with container(podman, tmp_path, Site().config + COMMAND) as running:
        until_ready(running)
        time.sleep(2)
        seen = states(running)

    assert len(seen) >= 4  # the first, the service, the command, and who looks
    assert "Z" not in seen


def test_a_wrong_config_is_told_of(podman, tmp_path):
    with container(podman, tmp_path, "version = 2\n") as running:
        code = podman("wait", running.name).stdout.strip()
        said = running.log()

    assert code == "78"
    assert "this program reads version 1" in said
