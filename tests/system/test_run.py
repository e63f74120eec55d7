"""`run` and `check` as a service manager runs them: a config, signals, READY, files."""

import contextlib
import json
import os
import signal
import socket
import stat

import trio

from supervisor.emulator.faults import Refuse, Reset
from supervisor.emulator.plan import Plan
from tests.system.processes import authority, beside_an_emulator, command, spoken, start, wav, words_of

CONFIG = """
version = 1
[deepgram]
url = "{url}"
{deepgram}
[limits]
drain_timeout = {drain}
[[sink]]
kind = "files"
directory = "{directory}"
{calls}
"""
CALL = """
[[call]]
name = "{name}"
source = "{source}"
pace = "{pace}"
{more}
"""
NUMBERED = "command:python -m supervisor.emulator {seconds} --salt 7"
RAW = 'encoding = "linear16"\nsample_rate = 16000'


def config(tmp_path, url, *calls, drain=300.0, deepgram=""):
    path = tmp_path / "supervisor.toml"
    directory = tmp_path / "transcripts"
    path.write_text(
        CONFIG.format(url=url, deepgram=deepgram, drain=drain, directory=directory, calls="".join(calls))
    )
    return path


def call(name, source, pace="max", more=""):
    return CALL.format(name=name, source=source, pace=pace, more=more)


def transcript(tmp_path, name):
    return [json.loads(line) for line in (tmp_path / "transcripts" / f"{name}.jsonl").read_text().splitlines()]


def test_the_calls_of_a_config_run_side_by_side_into_private_files(tmp_path):
    """One that cannot be opened is told of and is nobody else's trouble."""
    async def test(url, emulator):
        calls = [call(name, wav(tmp_path / f"{name}.wav", 2.0)) for name in ("one", "two")]
        path = config(tmp_path, url, *calls, call("absent", tmp_path / "absent.wav"))
        ran = await command("run", path)

        assert ran.code == 66
        for name in ("one", "two"):
            assert words_of(transcript(tmp_path, name)) == spoken(2.0)
            assert transcript(tmp_path, name)[-1]["outcome"] == "complete"
            assert stat.S_IMODE((tmp_path / "transcripts" / f"{name}.jsonl").stat().st_mode) == 0o600
        assert b"there is no file" in ran.err
        assert emulator.proof.peak() == 2

    beside_an_emulator(test, Plan([None, Reset(audio=1.0)]))


def test_sigterm_lets_calls_end_and_says_so_to_the_service_manager(tmp_path):
    """READY once the sources are open, STOPPING at the signal, and nothing of the call is lost."""
    async def test(url, emulator):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(str(tmp_path / "notify"))
            path = config(tmp_path, url, call("one", NUMBERED.format(seconds=4), more=RAW))
            async with trio.open_nursery() as nursery:
                env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
                started = await start(nursery, "run", path, env=env)
                await started.until(b"session_opened", "err")
                await started.until(b'"ready"', "err")
                started.process.send_signal(signal.SIGTERM)
                assert await started.process.wait() == 0
            notified.setblocking(False)
            told = b""
            with contextlib.suppress(BlockingIOError):
                while True:
                    told += notified.recv(4096) + b"\n"
        expected = (b"READY=1", b"STATUS=1 call\n", b"STOPPING=1", b"EXTEND_TIMEOUT_USEC=", b"draining, 1 call", b"WATCHDOG=1")
        assert [words for words in expected if words not in told] == []
        assert words_of(transcript(tmp_path, "one")) == spoken(4.0)
        assert b"draining" in started.err

    beside_an_emulator(test)


def test_a_line_on_which_nobody_is_holds_up_no_drain(tmp_path):
    """A FIFO without a writer, and one whose format only its audio can tell: there is no call to wait for."""
    async def test(url, emulator):
        for name in ("raw", "wav"):
            os.mkfifo(tmp_path / name)
        calls = [call("raw", f"fifo:{tmp_path / 'raw'}", more=RAW), call("wav", f"fifo:{tmp_path / 'wav'}")]
        async with trio.open_nursery() as nursery:
            started = await start(nursery, "run", config(tmp_path, url, *calls))
            await started.listens_to_signals()
            started.process.send_signal(signal.SIGTERM)
            assert await started.process.wait() == 0
        assert emulator.proof.connections == []

    beside_an_emulator(test)


def test_a_service_of_which_no_source_opens_is_not_ready(tmp_path):
    async def test(url, emulator):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(str(tmp_path / "notify"))
            path = config(tmp_path, url, call("absent", tmp_path / "absent.wav"))
            ran = await command("run", path, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
            notified.setblocking(False)
            told = b""
            with contextlib.suppress(BlockingIOError):
                while True:
                    told += notified.recv(4096)
        assert ran.code == 66
        assert b"READY" not in told

    beside_an_emulator(test)


def test_a_drain_is_over_when_its_time_is_up(tmp_path):
    """Then the sources end, and what they gave is still delivered."""
    async def test(url, emulator):
        path = config(tmp_path, url, call("one", NUMBERED.format(seconds=100), more=RAW), drain=1.0)
        async with trio.open_nursery() as nursery:
            started = await start(nursery, "run", path)
            await started.until(b"session_opened", "err")
            started.process.send_signal(signal.SIGTERM)
            assert await started.process.wait() == 0
        ended = transcript(tmp_path, "one")[-1]
        assert ended["outcome"] == "complete"
        assert 0 < ended["audio"]["acknowledged"] == ended["audio"]["heard"] < 30

    beside_an_emulator(test)


def test_three_signals_end_it_at_once_and_tell_what_is_lost(tmp_path):
    async def test(url, emulator):
        path = config(tmp_path, url, call("one", NUMBERED.format(seconds=100), more=RAW))
        async with trio.open_nursery() as nursery:
            started = await start(nursery, "run", path)
            await started.until(b"session_closed", "err")
            for sign in (b"draining", b"stopping", b"aborting"):
                started.process.send_signal(signal.SIGTERM)
                await started.until(sign, "err")
            assert await started.process.wait() == 75
        events = transcript(tmp_path, "one")
        assert (events[-2]["type"], events[-2]["reason"]) == ("gap", "stopped")
        assert events[-1]["outcome"] == "stopped"

    beside_an_emulator(test, Plan([Refuse(status=503)], then="repeat"))


def test_a_certificate_authority_of_ones_own_and_a_key_in_a_file(tmp_path):
    """wss as the config describes it; the key reaches the server and no output."""
    ca, context = authority(tmp_path)
    key = tmp_path / "key"
    key.write_text("canary-0123456789abcdef\n")
    key.chmod(0o600)

    async def test(url, emulator):
        deepgram = f'ca = "{ca}"\napi_key = "file:{key}"'
        path = config(tmp_path, url, call("one", wav(tmp_path / "one.wav", 1.0)), deepgram=deepgram)
        ran = await command("run", path, "--log-level", "debug")
        checked = await command("check", path)

        assert (ran.code, checked.code) == (0, 0)
        assert words_of(transcript(tmp_path, "one")) == spoken(1.0)
        assert emulator.proof.connections[0].headers["authorization"] == "Token canary-0123456789abcdef"
        everything = ran.out + ran.err + checked.out + checked.err
        everything += (tmp_path / "transcripts" / "one.jsonl").read_bytes()
        assert b"canary" not in everything

    beside_an_emulator(test, tls=context, api_key="canary-0123456789abcdef")


def test_a_wrong_config_is_told_line_by_line_and_not_run(tmp_path):
    path = tmp_path / "supervisor.toml"
    path.write_text('version = 1\n[deepgram]\nurl = "ws://127.0.0.1:1/v1/listen"\nadress = "x"\n[[call]]\nname = "a"\nsource = "-"\nsample_rat = 8000\n')

    async def test(url, emulator):
        for name in ("check", "run"):
            ran = await command(name, path)

            assert ran.code == 78
            lines = [line for line in ran.err.decode().splitlines() if line.startswith("stream-supervisor:")]
            assert any("sample_rat" in line and "sample_rate" in line for line in lines)
            assert any("adress" in line for line in lines)
            assert "Traceback" not in ran.err.decode()

    beside_an_emulator(test)
