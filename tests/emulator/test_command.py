"""The command `emulate`, as a process of its own: what it prints, how it ends, and what it says of a mistake."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from supervisor.commands.emulate import summary
from supervisor.emulator.__main__ import main
from supervisor.emulator.numbered import numbered
from supervisor.emulator.proof import Connection
from supervisor.emulator.server import Emulator
from supervisor.emulator.speech import Speech

from .client import Client, request

ROOT = Path(__file__).parents[2]
EMULATE = (sys.executable, "-m", "supervisor", "emulate")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("DEEPGRAM")}
DEADLINE = 30

start = partial(subprocess.Popen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=ENVIRONMENT)
run = partial(subprocess.run, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT, timeout=DEADLINE, check=False)


@contextmanager
def emulating(*arguments):
    """A running emulator and its URL."""
    process = start([*EMULATE, "--log-format", "json", *arguments])
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def port_of(url):
    return int(re.fullmatch(r"ws://127\.0\.0\.1:(\d+)/v1/listen", url)[1])


def ended(process, number):
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE)
    return out.splitlines(), err.splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_url_and_ends_with_a_summary_when_told_to(number):
    with emulating() as (process, url):
        call(port_of(url), numbered(7, 0, 8000), "x-deepgram-session-id: line-1")
        out, _ = ended(process, number)

        assert process.returncode == 0
        assert out == [
            "line-1: 1 connection, 1 accepted, 1.00 s of audio, numbered up to 1.00 s, 0.00 s of it missing, "
            "0.00 s not final, 0 steps back, 0.00 s of silence"
        ]


def test_it_ends_at_once_though_somebody_is_still_speaking():
    with emulating() as (process, url), socket.create_connection(("127.0.0.1", port_of(url)), timeout=DEADLINE) as dialled:
        dialled.sendall(request())
        assert dialled.recv(4096).startswith(b"HTTP/1.1 101")
        out, _ = ended(process, signal.SIGTERM)
        while dialled.recv(4096):
            pass

    assert process.returncode == 0
    assert out == ["a call without a name: 1 connection, 1 accepted, 0.00 s of audio, 0.00 s of silence"]


def call(port, audio, *headers):
    """One polite call over a real socket; returns what it was answered with."""

    async def speak():
        with trio.fail_after(DEADLINE):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with stream:
                client = Client(Sending(), None)
                client.audio(audio)
                client.control("CloseStream")
                await stream.send_all(request(headers=headers))
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += await stream.receive_some()
                await stream.send_all(client.wire.sent)
                while data := await stream.receive_some():
                    answer += data
                    if data.endswith(b"\x88\x02\x03\xe8"):  # Close, 1000
                        break
                client.close()
                await stream.send_all(client.wire.sent[-8:])
                while await stream.receive_some():
                    pass
                return answer

    return trio.run(speak)


class Sending:
    """Of a wire the half that a client writes to."""

    def __init__(self):
        self.sent = b""

    def put(self, data):
        self.sent += data


def test_nobody_came():
    with emulating() as (process, _):
        out, err = ended(process, signal.SIGTERM)

        assert (process.returncode, out) == (0, [])
        assert err == ["Ctrl-C ends it and tells what came."]


def test_a_port_in_use_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run([*EMULATE, "--port", str(port)])

    assert done.stdout == ""
    assert done.stderr == (
        f"stream-supervisor: cannot listen on port {port}: another program has it: choose another --port\n"
    )
    assert done.returncode == 64


def test_a_port_that_does_not_exist_is_one_line():
    done = run([*EMULATE, "--port", "65536"])

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (64, "", 1)
    assert "65536" in done.stderr


def test_an_output_without_a_reader_is_one_line():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            EMULATE, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=ENVIRONMENT, timeout=DEADLINE, check=False
        )
    finally:
        os.close(writer)

    assert (done.returncode, done.stderr.count("\n")) == (74, 1)


def test_a_plan_that_is_missing_or_wrong_is_one_line(tmp_path):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[[connection]]\nrest = true\n")
    for path, code, said in ((tmp_path / "none.toml", 66, "cannot be read"), (wrong, 78, "did you mean `reset`?")):
        done = run([*EMULATE, "--faults", str(path)])

        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
        assert said in done.stderr
        assert str(path) in done.stderr


def test_a_plan_is_followed(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text("[[connection]]\nrefuse = { status = 429, retry_after = 7 }\n")
    with emulating("--faults", str(plan)) as (process, url):
        with socket.create_connection(("127.0.0.1", port_of(url)), timeout=DEADLINE) as dialled:
            dialled.sendall(request())
            answer = b""
            while data := dialled.recv(4096):
                answer += data
        out, err = ended(process, signal.SIGTERM)

    assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nRetry-After: 7\r\n" in answer
    assert out == ["a call without a name: 1 connection, 0 accepted"]
    assert any('"connection_refused"' in line for line in err)


def test_a_peer_that_resets_ends_nothing():
    with emulating() as (process, url):
        for sent in (b"", b"GET ", request()):
            dialled = socket.create_connection(("127.0.0.1", port_of(url)), timeout=DEADLINE)
            dialled.sendall(sent)
            dialled.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            dialled.close()
        assert b"101 Switching Protocols" in call(port_of(url), numbered(7, 0, 800))
        out, err = ended(process, signal.SIGTERM)

    assert process.returncode == 0
    assert "Traceback" not in "".join(err)
    assert len(out) == 2


def test_a_reader_that_has_left_its_output_is_no_crash():
    with emulating() as (process, url):
        call(port_of(url), numbered(7, 0, 800))
        process.stdout.close()
        process.send_signal(signal.SIGTERM)
        err = process.stderr.read()
        process.wait(DEADLINE)

    assert process.returncode == 74
    assert "Traceback" not in err


def test_what_a_peer_calls_itself_reaches_no_terminal_as_it_is():
    emulator = Emulator()
    emulator.proof.connections.append(Connection(0, 0.0, call="\x9b31m\x1b[0mred"))

    assert list(summary(emulator)) == ["31m [0mred: 1 connection, 0 accepted"]


def test_the_module_makes_audio_for_transcribe():
    """What a newcomer may try: numbered audio through a pipe, to the emulator, and text at the end."""
    with emulating() as (_, url):
        making = subprocess.Popen(
            [sys.executable, "-m", "supervisor.emulator", "2", "--encoding", "mulaw", "--sample-rate", "8000", "--at-once"],
            stdout=subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT,
        )  # fmt: skip
        with making, making.stdout:
            done = run(
                [sys.executable, "-m", "supervisor", "transcribe", "-", "--url", url, "--encoding", "mulaw",
                 "--sample-rate", "8000", "--format", "text", "--quiet"],
                stdin=making.stdout,
            )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"a\d+", done.stdout.lower()) == [word.word for word in Speech(0, 8000).between(0, 16000)]
    assert making.returncode == 0


MAKE = (sys.executable, "-m", "supervisor.emulator")


@pytest.mark.parametrize(
    "arguments",
    [["nan"], ["inf"], ["-1"], ["x"], ["1", "--sample-rate", "0"], ["1", "--channels", "0"], ["1", "--salt", "-1"],
     ["1", "--salt", "999999"], ["1e12"], ["1", "--encoding", "opus"], []],
)  # fmt: skip
def test_the_module_says_in_a_line_what_it_cannot_make(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (64, "")
    assert said.err.startswith("python -m supervisor.emulator: ")
    assert said.err.count("\n") == 1


def test_the_module_makes_as_much_as_it_is_asked_for():
    done = run([*MAKE, "1.5", "--salt", "9", "--channels", "2", "--at-once"], text=False)

    assert (done.returncode, done.stdout) == (0, numbered(9, 0, 96000))


def test_the_module_leaves_quietly_when_nobody_reads():
    making = start([*MAKE, "3600", "--at-once"], text=False)
    making.stdout.read(1000)
    making.stdout.close()
    err = making.stderr.read()
    making.stderr.close()

    assert (making.wait(DEADLINE), err) == (0, b"")


def test_audio_comes_as_it_is_spoken():
    """Not before: a second of it takes a second, whatever the machine does."""

    async def make():
        with trio.fail_after(DEADLINE):
            began = trio.current_time()
            done = await trio.run_process([*MAKE, "0.8"], capture_stdout=True, cwd=ROOT)
            return trio.current_time() - began, done.stdout

    took, audio = trio.run(make)

    assert audio == numbered(0, 0, 25600)
    assert took >= 0.8
