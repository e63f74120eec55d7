"""Outputs of the real command: what it says and how it ends when nobody takes what was said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOBODY = "ws://127.0.0.1:9"  # no server is needed: a call is told of before its first session


@pytest.fixture
def audio(tmp_path: Path) -> str:
    (tmp_path / "a.raw").write_bytes(bytes(320_000))
    return str(tmp_path / "a.raw")


def supervisor(*args: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DEEPGRAM")}
    return subprocess.run(
        [sys.executable, "-m", "supervisor", *args], cwd=ROOT, env=kept, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        timeout=60, check=False, **more,
    )  # fmt: skip


def transcribing(audio: str, *more: str, **others: Any) -> subprocess.CompletedProcess[bytes]:
    raw = ["--encoding", "linear16", "--sample-rate", "16000"]
    return supervisor("transcribe", audio, *raw, "--url", NOBODY, "--quiet", *more, **others)


def test_a_reader_that_leaves_ends_the_calls_and_what_was_said_follows_on_standard_error(audio: str) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    done = transcribing(audio, stdout=writes)
    os.close(writes)
    first, *rest = done.stderr.decode().splitlines()
    told = [event for event in map(json.loads, rest) if "type" in event]

    assert done.returncode == 74
    assert first.startswith("stream-supervisor: cannot write the transcript to standard output: Broken pipe")
    assert (told[0]["type"], told[-1]["type"]) == ("call_started", "call_ended")


def test_a_file_that_cannot_be_is_said_before_any_audio_is_taken(audio: str) -> None:
    done = transcribing(audio, "--out", "/none/such", stdout=subprocess.PIPE)

    assert (done.returncode, done.stdout) == (74, b"")
    assert done.stderr == (
        b"stream-supervisor: cannot write the transcript to /none/such: No such file or directory: make the directory first\n"
    )


def test_a_service_whose_directory_cannot_be_ends_at_once(tmp_path: Path, audio: str) -> None:
    (tmp_path / "c.toml").write_text(f"""
        version = 1
        [deepgram]
        url = "{NOBODY}"
        [[call]]
        name = "a"
        source = "{audio}"
        encoding = "linear16"
        sample_rate = 16000
        [[sink]]
        kind = "files"
        directory = "/none/such"
    """)
    done = supervisor("run", str(tmp_path / "c.toml"), stdout=subprocess.PIPE)
    events = [json.loads(line) for line in done.stderr.splitlines()]

    assert (done.returncode, done.stdout) == (74, b"")
    assert events[0]["event"] == "output_failed"
    assert "/none/such" in events[0]["problem"]
    assert not any(event["event"] == "session_closed" for event in events)
