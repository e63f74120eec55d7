"""`transcribe` as its user runs it: a process, real sockets, real signals, real disks."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from supervisor.emulator.faults import Close, Refuse, Reset
from supervisor.emulator.plan import Plan
from tests.system.processes import authority, beside_an_emulator, command, spoken, start, wav, words_of


def test_a_file_is_transcribed_whole_while_connections_die(tmp_path):
    """JSON Lines in a pipe, whole; exit code 0; logs on standard error, as JSON, without a transcript."""
    async def test(url, emulator):
        ran = await command("transcribe", wav(tmp_path / "call.wav", 5.0), "--url", url)

        assert ran.code == 0
        assert ran.words == spoken(5.0)
        assert [event["type"] for event in ran.events][:3] == ["call_started", "session_closed", "session_opened"]
        ended = ran.events[-1]
        assert (ended["type"], ended["outcome"]) == ("call_ended", "complete")
        assert ended["audio"]["heard_frames"] == ended["audio"]["acknowledged_frames"] == 80000
        assert emulator.proof.call().not_final(80000) == []
        logs = [json.loads(line) for line in ran.err.splitlines()]
        assert {"session_opened", "session_closed", "call_ended"} <= {line["event"] for line in logs}
        assert b"a3" not in ran.err

    beside_an_emulator(test, Plan([Refuse(status=503), Close(audio=2.0, reason="NET-0000"), Reset(audio=1.5)]))


def test_several_sources_run_one_after_another(tmp_path):
    async def test(url, emulator):
        files = [wav(tmp_path / f"{name}.wav", 1.0) for name in ("one", "two")]
        ran = await command("transcribe", *files, "--url", url, "--out", tmp_path / "out.jsonl")

        assert (ran.code, ran.out) == (0, b"")
        events = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        assert [event["call_id"] for event in events if event["type"] == "call_started"] == ["one", "two"]
        assert words_of(events) == spoken(1.0) * 2

    beside_an_emulator(test)


def test_over_tls_with_an_authority_of_ones_own(tmp_path):
    """Trusted where SSL_CERT_FILE or the config says so, and refused, with its name, where nothing does."""
    ca, context = authority(tmp_path)

    async def test(url, emulator):
        path = wav(tmp_path / "call.wav", 1.5)
        trusted = await command("transcribe", path, "--url", url, env={"SSL_CERT_FILE": str(ca)})

        assert trusted.code == 0
        assert trusted.words == spoken(1.5)

        async with trio.open_nursery() as nursery:
            refused = await start(nursery, "transcribe", path, "--url", url)
            await refused.until(b"session_closed")
            refused.process.send_signal(signal.SIGINT)
            refused.process.send_signal(signal.SIGINT)
            await refused.until(b"session_closed", "err")
            refused.process.kill()
        assert b"certificate" in refused.err

    beside_an_emulator(test, tls=context)


def test_the_first_interrupt_delivers_what_was_heard_and_says_what_it_waits_for(tmp_path):
    async def test(url, emulator):
        async with trio.open_nursery() as nursery:
            started = await start(nursery, "transcribe", wav(tmp_path / "call.wav", 60.0), "--url", url)
            await started.until(b'"is_final":false')
            started.process.send_signal(signal.SIGINT)
            assert await started.process.wait() == 0
        events = [json.loads(line) for line in started.out.splitlines()]

        assert b"waiting for the last results of" in started.err
        ended = events[-1]
        assert (ended["type"], ended["outcome"]) == ("call_ended", "complete")
        assert 0.5 < ended["audio"]["heard"] == ended["audio"]["acknowledged"] < 30
        assert words_of(events) == spoken(60.0)[: len(words_of(events))]
        assert emulator.proof.call().kinds["CloseStream"] == 1

    beside_an_emulator(test)


def test_the_second_interrupt_ends_it_now_and_tells_what_is_lost(tmp_path):
    async def test(url, emulator):
        async with trio.open_nursery() as nursery:
            started = await start(nursery, "transcribe", wav(tmp_path / "call.wav", 60.0), "--url", url)
            await started.until(b"session_closed")
            started.process.send_signal(signal.SIGTERM)
            await started.until(b"once more to end now", "err")
            started.process.send_signal(signal.SIGTERM)
            assert await started.process.wait() == 75
        events = [json.loads(line) for line in started.out.splitlines()]

        assert events[-1]["outcome"] == "stopped"
        assert [event["reason"] for event in events if event["type"] == "gap"] == ["stopped"]
        assert b"Traceback" not in started.err

    beside_an_emulator(test, Plan([Refuse(status=503)], then="repeat"))


def test_an_interrupt_ends_a_source_that_has_not_said_anything():
    async def test(url, emulator):
        async with trio.open_nursery() as nursery:
            started = await start(nursery, "transcribe", "-", "--url", url, stdin=subprocess.PIPE)
            await started.listens_to_signals()
            started.process.send_signal(signal.SIGINT)
            assert await started.process.wait() == 0
            await started.process.stdin.aclose()
        assert emulator.proof.connections == []
        assert b"Traceback" not in started.err

    beside_an_emulator(test)


@pytest.mark.parametrize("status, code", [(401, 77), (402, 77), (403, 77), (400, 78), (404, 78)])
def test_what_is_refused_for_good_has_its_exit_code_and_one_line(tmp_path, status, code):
    async def test(url, emulator):
        ran = await command("transcribe", wav(tmp_path / "call.wav", 1.0), "--url", url, "--quiet")

        assert ran.code == code
        assert b"Traceback" not in ran.err
        assert ran.events[-1]["outcome"] == "aborted"

    beside_an_emulator(test, Plan([Refuse(status=status)], then="repeat"))


def test_a_full_disk_is_one_line_and_loses_nothing_that_was_received(tmp_path):
    """What cannot be written goes to standard error rather than nowhere."""
    async def test(url, emulator):
        path = wav(tmp_path / "call.wav", 1.0)
        async with trio.open_nursery() as nursery:
            started = await start(nursery, "transcribe", path, "--url", url, "--out", "/dev/full")
            await started.until(b"output_stuck", "err")
            await started.until(b"call_ended", "err")
            await started.listens_to_signals()
            started.process.send_signal(signal.SIGTERM)
            assert await started.process.wait() == 74

        lines = started.err.splitlines()
        assert any(b"No space left" in line for line in lines)
        told = [json.loads(line) for line in lines if line.startswith(b'{"type"')]
        assert told[0]["type"] == "call_started"
        assert told[-1]["type"] == "call_ended"
        assert b"Traceback" not in started.err

    beside_an_emulator(test)


def test_a_reader_that_leaves_ends_it_without_a_traceback(tmp_path):
    async def test(url, emulator):
        read, write = os.pipe()
        async with trio.open_nursery() as nursery:
            started = await start(nursery, "transcribe", wav(tmp_path / "call.wav", 60.0), "--url", url, stdout=write)
            os.close(write)
            assert await trio.to_thread.run_sync(os.read, read, 10)
            os.close(read)
            assert await started.process.wait() == 74
        assert b"nobody reads the output any more" in started.err
        assert b"Traceback" not in started.err

    beside_an_emulator(test)


def test_what_was_sent_is_saved_as_it_went_out(tmp_path):
    async def test(url, emulator):
        ran = await command(
            "transcribe", wav(tmp_path / "call.wav", 2.0), "--url", url, "--save-sent", tmp_path / "sent.wav"
        )

        assert ran.code == 0
        assert (tmp_path / "sent.wav").read_bytes() == (tmp_path / "call.wav").read_bytes()

    beside_an_emulator(test)


@pytest.mark.parametrize("which", ["--save-sent", "--out"])
def test_the_source_is_never_overwritten(tmp_path, which):
    async def test(url, emulator):
        path = wav(tmp_path / "call.wav", 1.0)
        before = path.read_bytes()
        ran = await command("transcribe", path, "--url", url, which, tmp_path / "." / "call.wav")

        assert (ran.code, path.read_bytes()) == (64, before)

    beside_an_emulator(test)


def test_a_command_and_a_pipe_are_sources_too(tmp_path):
    async def test(url, emulator):
        source = "command:python -m supervisor.emulator 2 --salt 7 --encoding mulaw --sample-rate 8000"
        ran = await command("transcribe", source, "--url", url, "--encoding", "mulaw", "--sample-rate", "8000")

        assert ran.code == 0
        assert ran.events[0]["source"] == "command:python"
        assert emulator.proof.call().received == [(0, 16000)]

    beside_an_emulator(test)


MISTAKES = [
    (["transcribe", "nowhere.wav"], 66, "there is no file nowhere.wav"),
    (["transcribe", "{text}"], 65, "is text, not audio"),
    (["transcribe", "{empty}"], 65, "empty"),
    (["transcribe", "{wav}", "--option", "utterance_end_ms=500"], 64, "utterance_end_ms"),
    (["transcribe", "{wav}", "--option", "keywords=a", "--option", "model=nova-3"], 64, "keyterm"),
    (["transcribe", "{wav}", "--option", "diarize_model=v2"], 64, "diarize_model"),
    (["transcribe", "{wav}", "--option", "callback=https://example.com"], 64, "callback"),
    (["transcribe", "{wav}", "--url", "wss://api.deepgram.com/v2/listen"], 64, "v2"),
    (["transcribe", "{wav}", "--api-key", "0123456789abcdef0123456789abcdef"], 64, "never the key itself"),
    (["transcribe", "{wav}", "--api-key", "file:/nonexistent/key"], 78, "no Deepgram key"),
    (["transcribe", "{wav}", "--url", "wss://api.deepgram.com/v1/listen"], 78, "no Deepgram key"),
    (["transcribe", "{wav}", "--url", "https://example.com"], 64, "ws"),
    (["transcribe", "{wav}", "--encoding", "opus"], 64, "compressed"),
    (["transcribe", "{wav}", "--encoding", "pcm"], 64, "linear16"),
    (["transcribe"], 64, "SOURCE"),
    (["transcribe", "-", "-"], 64, "stdin"),
]


# The command line, once for each mistake, in one process: to start one costs more than to be wrong in it.
EACH = """
import contextlib, io, json, sys
from supervisor.cli import run
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        code = run(arguments)
    print(json.dumps([code, said.getvalue()]))
"""


def test_a_mistake_is_one_line_with_its_way_on(tmp_path):
    """The cause and the mend, the right exit code, and nobody was dialled."""
    (tmp_path / "text").write_text("this is no audio at all, it is text\n" * 50)
    (tmp_path / "empty").write_bytes(b"")
    wav(tmp_path / "wav", 0.5)

    async def test(url, emulator):
        each = []
        for arguments, _, _ in MISTAKES:
            named = [part.format(**{name: tmp_path / name for name in ("text", "empty", "wav")}) for part in arguments]
            each.append([*named, *([] if "--url" in named or len(named) < 2 else ["--url", url])])
        ran = await trio.run_process(
            [sys.executable, "-c", EACH, json.dumps(each)],
            capture_stdout=True,
            env={**os.environ, "DEEPGRAM_API_KEY": "", "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        answers = [json.loads(line) for line in ran.stdout.splitlines()]

        assert len(answers) == len(MISTAKES)
        for (arguments, code, words), (found, said) in zip(MISTAKES, answers, strict=True):
            lines = [line for line in said.splitlines() if line.startswith("stream-supervisor:")]
            assert found == code, (arguments, said)
            assert len(lines) == 1, (arguments, said)
            assert words in lines[0], arguments
            assert "Traceback" not in said, arguments
        assert emulator.proof.connections == []

    beside_an_emulator(test)
