"""The service as `make install` leaves it, under a systemd that starts, watches, reloads and stops it."""

from __future__ import annotations

import json
import socket
import stat
import time

import pytest
import trio

from supervisor.emulator.callers import place
from supervisor.emulator.faults import Reset
from supervisor.emulator.plan import Plan
from tests.real.machine import Machine, booted, checkout, debian, needs, wheels
from tests.system.processes import beside_an_emulator, wav, words_of
from tests.system.test_service import free_port, leg, spoken

ETC = "/etc/stream-supervisor"
CONFIG = """
version = 1
[deepgram]
url = "{url}"
api_key = "file:{etc}/deepgram-api-key"
[limits]
drain_timeout = {drain}
[retry]
longest = 1
[[intake]]
name = "pbx"
kind = "audiosocket"
listen = "127.0.0.1:{port}"
[[sink]]
kind = "files"
directory = "/var/lib/stream-supervisor/transcripts"
[admin]
"""
WATCHED = """
[[intake]]
name = "dropped"
kind = "directory"
directory = "/srv/calls"
"""
KEY = "a" * 40


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    needs("systemd-nspawn", "mmdebstrap", "nsenter")
    directory = tmp_path_factory.mktemp("machine")
    root = debian(directory)
    checkout(root / "src")
    (root / "wheels").mkdir()
    for wheel in wheels(directory).iterdir():
        wheel.rename(root / "wheels" / wheel.name)
    with booted(root) as up:
        done = up.run("sh", "-c", "umask 077 && make -C /src install", timeout=300, check=False)  # as strict as root may be
        assert done.returncode == 0, done.stdout + done.stderr
        up.install_said = done.stdout
        yield up


def configure(machine: Machine, url="ws://127.0.0.1:9/v1/listen", *, port=None, drain=30.0, override=""):
    port = port or free_port()
    machine.write(f"{ETC}/supervisor.toml", CONFIG.format(url=url, etc=ETC, port=port, drain=drain))
    machine.write(f"{ETC}/deepgram-api-key", KEY + "\n")
    machine.write("/etc/systemd/system/stream-supervisor.service.d/test.conf", f"[Service]\n{override}\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "reset-failed", "stream-supervisor", check=False)
    return port


def transcript(machine, one):
    directory = machine.root / "var/lib/stream-supervisor/transcripts"
    return [json.loads(line) for line in (directory / f"{one.uuid}.jsonl").read_text().splitlines()]


def check_whole(machine, one, seconds, salt):
    events = transcript(machine, one)

    assert not one.torn_down, one.verdict
    assert words_of(events) == spoken(seconds, salt)
    assert events[-1]["audio"]["lost"] == events[-1]["audio"]["unfinished"] == 0


def test_install_makes_a_service_and_says_what_follows(machine):
    directory = machine.root / ETC.lstrip("/")

    assert "put your Deepgram key into" in machine.install_said
    assert stat.S_IMODE(directory.stat().st_mode) == 0o750
    assert stat.S_IMODE((directory / "deepgram-api-key").stat().st_mode) == 0o400
    assert machine.run("getent", "passwd", "stream-supervisor").stdout
    assert machine.run("systemd-analyze", "verify", "stream-supervisor.service").returncode == 0
    (directory / "supervisor.toml").write_text("# mine\n" + (directory / "supervisor.toml").read_text())
    machine.run("make", "-C", "/src", "install", timeout=300)
    assert (directory / "supervisor.toml").read_text().startswith("# mine\n")
    machine.run("/opt/stream-supervisor/bin/stream-supervisor", "--version")


def test_it_is_ready_when_its_doors_are_open_whether_deepgram_answers_or_not(machine):
    port = configure(machine)
    machine.run("systemctl", "start", "stream-supervisor")
    state, text, user = machine.show("ActiveState", "StatusText", "User")

    assert (state, text, user) == ("active", "0 calls", "stream-supervisor")
    with socket.create_connection(("127.0.0.1", port), 5):
        pass
    assert machine.run("stat", "-c", "%a", "/run/stream-supervisor/admin.sock").stdout == "660\n"
    assert machine.run("/opt/stream-supervisor/bin/stream-supervisor", "health").stdout.startswith("ok: 0 calls")
    security = machine.run("systemd-analyze", "security", "--threshold=15", "stream-supervisor", check=False)
    assert security.returncode == 0, security.stdout.splitlines()[-1]
    machine.run("systemctl", "stop", "stream-supervisor")
    assert machine.show("Result", "ExecMainStatus") == ["success", "0"]


def test_who_is_in_the_group_may_ask_the_service_and_not_read_the_key(machine):
    configure(machine)
    machine.run("useradd", "--groups", "stream-supervisor", "oncall")
    machine.run("useradd", "stranger")
    machine.run("systemctl", "start", "stream-supervisor")
    health = "/opt/stream-supervisor/bin/stream-supervisor", "health"
    asked = {who: machine.run("runuser", "-u", who, "--", *health, check=False).returncode for who in ("oncall", "stranger")}
    read = machine.run("runuser", "-u", "oncall", "--", "cat", f"{ETC}/deepgram-api-key", check=False)
    machine.run("systemctl", "stop", "stream-supervisor")

    assert asked == {"oncall": 0, "stranger": 1}
    assert (read.returncode, read.stdout) == (1, "")


def test_a_watched_directory_is_the_services_with_a_drop_in(machine, tmp_path):
    recording = wav(tmp_path / "a.wav", 2.0).read_bytes()

    async def test(url, emulator):
        configure(machine, url, override="ReadWritePaths=/srv/calls")
        machine.run("install", "-d", "-o", "stream-supervisor", "-g", "stream-supervisor", "-m", "2770", "/srv/calls")
        config = machine.root / f"{ETC}/supervisor.toml".lstrip("/")
        config.write_text(config.read_text() + WATCHED)
        await machine.does("systemctl", "start", "stream-supervisor")
        (machine.root / "srv/calls/a.wav").write_bytes(recording)
        done = machine.root / "srv/calls/done"
        while not (done / "a.wav.jsonl").exists():  # noqa: ASYNC110 - another system's
            await trio.sleep(0.2)
        await machine.does("systemctl", "stop", "stream-supervisor")
        events = [json.loads(line) for line in (done / "a.wav.jsonl").read_text().splitlines()]
        assert events[-1]["outcome"] == "complete"
        assert (done / "a.wav").exists()

    beside_an_emulator(test, api_key=KEY)


def test_a_key_is_rotated_by_a_reload_during_a_call_and_a_wrong_config_is_refused(machine):
    async def test(url, emulator):
        port = configure(machine, url)
        await machine.does("systemctl", "start", "stream-supervisor")
        one = leg(9.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place, [one], "127.0.0.1", port)
            await trio.sleep(3)
            good = (machine.root / f"{ETC}/supervisor.toml".lstrip("/")).read_text()
            machine.write(f"{ETC}/supervisor.toml", good + "\nnonsense = 1\n")
            assert "failed" in await machine.does("systemctl", "reload", "stream-supervisor", check=False)
            machine.write(f"{ETC}/supervisor.toml", good)
            machine.write(f"{ETC}/deepgram-api-key", "b" * 40 + "\n")
            emulator._api_key = "b" * 40
            await machine.does("systemctl", "reload", "stream-supervisor")
        await machine.does("systemctl", "stop", "stream-supervisor")
        check_whole(machine, one, 9.0, 1)
        assert [connection.status for connection in emulator.proof.connections] == [101, 101]
        assert '"event":"reloaded"' in machine.journal()
        assert KEY not in machine.journal()

    beside_an_emulator(test, Plan([Reset(audio=6.0)]), api_key=KEY)


def test_a_stop_during_calls_waits_for_them_longer_than_systemd_would_by_itself(machine):
    """EXTEND_TIMEOUT_USEC: TimeoutStopSec is three seconds, and the calls go on for eight."""
    async def test(url, emulator):
        port = configure(machine, url, override="TimeoutStopSec=3")
        await machine.does("systemctl", "start", "stream-supervisor")
        legs = [leg(10.0, salt) for salt in (1, 2)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place, legs, "127.0.0.1", port)
            await trio.sleep(3)
            began = time.monotonic()
            await machine.does("systemctl", "stop", "stream-supervisor")
            took = time.monotonic() - began
        assert took > 5
        assert machine.show("Result", "ExecMainStatus") == ["success", "0"]
        for salt, one in enumerate(legs, 1):
            check_whole(machine, one, 10.0, salt)

    beside_an_emulator(test, api_key=KEY)


def test_a_loop_that_stands_still_is_killed_and_started_again(machine):
    configure(machine, override="WatchdogSec=2\nRestartSec=100ms")
    machine.run("systemctl", "start", "stream-supervisor")
    time.sleep(3)
    (pid,) = machine.show("MainPID")
    assert machine.show("NRestarts") == ["0"]
    machine.run("kill", "-STOP", pid)
    for _ in range(150):
        time.sleep(0.1)
        if machine.show("NRestarts") == ["1"] and machine.show("ActiveState") == ["active"]:
            break
    again, restarts = machine.show("MainPID", "NRestarts")

    assert (restarts, again != pid) == ("1", True)
    assert "Watchdog timeout" in machine.journal()
    machine.run("systemctl", "stop", "stream-supervisor")


def test_a_wrong_config_is_told_of_once_and_not_tried_again(machine):
    configure(machine)
    machine.write(f"{ETC}/supervisor.toml", "version = 1\nverison = 2\n")
    started = machine.run("systemctl", "start", "stream-supervisor", check=False)
    time.sleep(3)
    state, restarts = machine.show("ActiveState", "NRestarts")

    assert started.returncode != 0
    assert (state, restarts) == ("failed", "0")
    assert "verison is not known here" in machine.journal()


def test_uninstall_leaves_what_is_the_operators(machine):
    configure(machine)
    machine.run("systemctl", "start", "stream-supervisor")
    refused = machine.run("make", "-C", "/src", "uninstall", check=False)
    assert refused.returncode != 0
    assert "the service runs" in refused.stderr
    machine.run("systemctl", "stop", "stream-supervisor")
    done = machine.run("make", "-C", "/src", "uninstall")

    assert "Left: /etc/stream-supervisor" in done.stdout
    assert not (machine.root / "opt/stream-supervisor").exists()
    assert not (machine.root / "etc/systemd/system/stream-supervisor.service").exists()
    assert (machine.root / "etc/stream-supervisor/supervisor.toml").exists()
    assert (machine.root / "var/lib/stream-supervisor/transcripts").exists()
