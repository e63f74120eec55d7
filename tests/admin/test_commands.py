"""The commands of an operator, against a daemon's real socket: what they print, for whom, and how they end."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.commands import calls, drain, health, reload
from supervisor.control import Health
from supervisor.core.problem import Exit, Problem

from .fake import CANARY, DEADLINE, FakeControl, view, while_serving
from .test_asking import liar

ROOT = Path(__file__).parents[2]
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
EVIL = "evil\x1b]0;title\x07\x1b[2J\u202eid\x9b31m\r\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


def args(path: Path, **more: object) -> Namespace:
    return Namespace(**{"socket": str(path), "watch": False, "json": False, "action": None, "call_id": None, "now": False, **more})


def asked(command: Any, path: Path, control: FakeControl, **more: object) -> int:
    return while_serving(path, control, lambda: int(command.run(args(path, **more), {})))


def problem_of(command: Any, path: Path, control: FakeControl, **more: object) -> Problem:
    with pytest.raises(Problem) as raised:
        asked(command, path, control, **more)
    assert "\n" not in str(raised.value)
    return raised.value


class TestCalls:
    def test_a_table_in_which_the_columns_stand_under_their_heads(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        control = FakeControl([view("a", age=3725.0, lost=1.25), view("漢字-2", state="waiting", paused=True, sessions=12)])
        assert asked(calls, path, control) == 0

        assert capsys.readouterr().out.splitlines() == [
            "2 calls, 1 paused, at most 1.0 s behind, 1.2 s lost",
            "CALL    STATE                AGE  HEARD  BEHIND   LOST  SESSIONS  INTAKE",
            "a       streaming        1:02:05   1:04   1.0 s  1.2 s         1  pbx",
            "漢字-2  waiting, paused     1:05   1:04   1.0 s  0.0 s        12  pbx",
        ]

    def test_none_at_all_is_said(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert asked(calls, path, FakeControl()) == 0
        assert capsys.readouterr().out == "0 calls\n"

    def test_the_structs_as_json(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert asked(calls, path, FakeControl([view("a"), view("b")]), json=True) == 0
        assert [(each["call_id"], each["behind"]) for each in json.loads(capsys.readouterr().out)] == [("a", 1.0), ("b", 1.0)]

    @pytest.mark.parametrize("more", [{}, {"json": True}, {"action": "show", "call_id": EVIL}])
    def test_nothing_in_a_name_moves_a_terminals_cursor(self, more: Any, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        evil = view(EVIL, intake=EVIL, source=EVIL, state=EVIL, request_id=EVIL, last_closure=EVIL, metadata={EVIL: EVIL})
        assert asked(calls, path, FakeControl([evil]), **more) == 0
        assert not OBEYED.search(capsys.readouterr().out)

    def test_show_has_everything_that_a_view_has(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        call = view("b", request_id="r-77", last_closure="1011 NET-0001", withheld=3.0, held_bytes=4096, paused=True)
        assert asked(calls, path, FakeControl([view("a"), call]), action="show", call_id="b") == 0

        out = capsys.readouterr().out
        for word in ("b", "pbx", "audiosocket", "streaming, paused", "64.0 s", "63.0 s", "3.0 s", "r-77", "NET-0001", "4 KiB", CANARY):
            assert word in out

    @pytest.mark.parametrize("action", ["end", "pause", "resume"])
    def test_a_change_is_made_once_and_said(self, action: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        control = FakeControl([view("a")])
        assert asked(calls, path, control, action=action, call_id="a") == 0

        assert control.did == [(action, "a")]
        assert capsys.readouterr().out.startswith("a ")

    @pytest.mark.parametrize("action", ["show", "end", "pause", "resume"])
    def test_an_unknown_id_is_one_line_that_lists_those_near_it(self, action: str, path: Path) -> None:
        problem = problem_of(calls, path, FakeControl([view("line-12"), view("other")]), action=action, call_id="lien-12")

        assert problem.exit_code is Exit.NO_INPUT
        assert "lien-12" in problem.cause
        assert "line-12" in problem.hint
        assert "other" not in problem.hint

    def test_bytes_that_are_no_text_are_an_unknown_id(self, path: Path) -> None:
        """As a shell may hand them over."""
        assert problem_of(calls, path, FakeControl(), action="end", call_id="\udcff").exit_code is Exit.NO_INPUT

    @pytest.mark.parametrize("more", [{"action": "end"}, {"action": "end", "call_id": ""}, {"action": "end", "call_id": "a", "watch": True}])
    def test_what_makes_no_sense_together_changes_nothing(self, more: Any, path: Path) -> None:
        control = FakeControl([view("a")])

        assert problem_of(calls, path, control, **more).exit_code is Exit.USAGE
        assert control.did == []


class TestDrain:
    @pytest.mark.parametrize("now", [False, True])
    def test_it_says_what_it_waits_for(self, now: bool, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        control = FakeControl([view("line-1"), view("line-2")])
        assert asked(drain, path, control, now=now) == 0

        first, *table = capsys.readouterr().out.splitlines()
        assert control.did == [("drain", now)]
        assert "2 calls" in first
        assert ("sources end now" in first) == now
        assert [line.split()[0] for line in table] == ["CALL", "line-1", "line-2"]

    def test_or_that_there_is_nothing(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert asked(drain, path, FakeControl()) == 0
        assert capsys.readouterr().out == "draining: there is no call to wait for\n"


class TestReload:
    def test_done(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert asked(reload, path, FakeControl()) == 0
        assert capsys.readouterr().out.startswith("reloaded")

    def test_each_fault_is_a_line_and_the_exit_code_is_that_of_a_config(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert asked(reload, path, FakeControl(faults=["[limits] one\nis wrong", "two"])) == 78

        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.splitlines()[:2] == ["stream-supervisor: [limits] one is wrong", "stream-supervisor: two"]
        assert "nothing was changed" in shown.err


class TestHealth:
    @pytest.mark.parametrize(
        "ok, ready, reasons, code, first",
        [
            (True, True, [], 0, "ok: 2 calls"),
            (True, False, ["draining"], 0, "ok, but it takes no new calls: 2 calls"),
            (False, False, ["the loop was 7.0 s late", "the disk is full"], 1, "not ok: 2 calls"),
        ],
    )
    def test_a_line_for_each_reason(
        self, ok: bool, ready: bool, reasons: list[str], code: int, first: str, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """That it drains is no reason to kill it."""
        state = Health(
            ok=ok, ready=ready, reasons=reasons, calls=2, version="1.2.3", uptime=9.0, loop_lag=0.002, notes=["a key is refused"]
        )  # fmt: skip
        assert asked(health, path, FakeControl(state=state)) == code

        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith(first)
        assert lines[1:] == [*reasons, "note: a key is refused"]

    @pytest.mark.parametrize("what", ["no daemon", "a bug", "a liar", "a sleeper"])
    def test_whatever_keeps_it_from_answering_is_one_line_and_1(
        self, what: str, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A container's health check knows 0 and 1 alone."""
        monkeypatch.setattr(health, "PATIENCE", 0.2)
        if what == "no daemon":
            assert health.run(args(path), {}) == 1
        elif what == "a bug":
            assert asked(health, path, FakeControl(broken=True)) == 1
        else:
            with liar(path, *([b'{"answer":"done"}\n'] if what == "a liar" else []), leaves=False):
                assert health.run(args(path), {}) == 1

        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("stream-supervisor: ")
        assert shown.err.count("\n") == 1

    def test_it_starts_quickly_for_it_is_run_every_few_seconds(self, path: Path) -> None:
        """What would take most of its time is not imported: the loop, the logger, TLS."""
        script = (
            "import sys; from argparse import Namespace; from supervisor.commands import health;"
            "code = health.run(Namespace(socket=sys.argv[1]), {});"
            "print(sorted({'trio', 'structlog', 'ssl', 'tenacity', 'asyncio', 'soundfile'} & set(sys.modules)), file=sys.stderr);"
            "sys.exit(code)"
        )
        done = while_serving(
            path, FakeControl(),
            lambda: subprocess.run(
                [sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False
            ),
        )  # fmt: skip

        assert (done.returncode, done.stderr) == (0, "[]\n")
        assert done.stdout.startswith("ok: 2 calls")


@pytest.mark.parametrize("command", [calls, drain, reload])
def test_where_no_daemon_is_a_command_ends_with_one_line(command: Any, path: Path) -> None:
    with pytest.raises(Problem, match="there is no daemon at"):
        command.run(args(path), {})


@pytest.mark.parametrize("command", [calls, drain, reload])
def test_an_answer_to_another_question_is_no_daemon_of_this_version(command: Any, path: Path) -> None:
    with liar(path, b'{"answer":"done"}\n'), pytest.raises(Problem, match="no daemon of this version"):
        command.run(args(path), {})


class Ticks:
    """In place of the time between two looks: something happens, and at last a person presses Ctrl-C."""

    def __init__(self, *steps: Callable[[], None]) -> None:
        self._steps = list(steps)

    def sleep(self, _seconds: float) -> None:
        if not self._steps:
            raise KeyboardInterrupt
        self._steps.pop(0)()


class TestWatch:
    @pytest.mark.parametrize("as_json", [False, True])
    def test_without_a_terminal_it_is_lines(
        self, as_json: bool, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        control = FakeControl([view("a")])
        monkeypatch.setattr("supervisor.admin.serving.FRESH", 0.0)
        monkeypatch.setattr(calls, "time", Ticks(lambda: control.views.append(view("b"))))
        assert asked(calls, path, control, watch=True, json=as_json) == 0

        out = capsys.readouterr().out
        assert "\x1b" not in out
        if as_json:
            assert [len(json.loads(line)) for line in out.splitlines()] == [1, 2]
        else:
            assert [line.split(",")[0] for line in out.splitlines() if "behind" in line] == ["1 call", "2 calls"]

    def test_it_ends_when_the_daemon_does(
        self, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(calls, "time", Ticks(path.unlink))
        assert asked(calls, path, FakeControl([view("a")]), watch=True) == 0
        assert "the daemon has ended" in capsys.readouterr().err

    def test_what_is_wrong_from_the_start_is_said_as_ever(self, path: Path) -> None:
        with pytest.raises(Problem, match="there is no daemon"):
            calls.run(args(path, watch=True), {})

    @pytest.mark.parametrize("leave", [signal.SIGINT, signal.SIGTERM])
    def test_on_a_terminal_it_is_drawn_anew_and_whoever_leaves_gets_the_screen_back(self, leave: signal.Signals, path: Path) -> None:
        control = FakeControl([view(f"call-{number}") for number in range(100)])
        shown = while_serving(path, control, lambda: on_a_terminal(path, leave))

        before, _, after = shown.rpartition("\x1b[?1049l")
        frames = before.split("\x1b[H")[1:]
        assert len(frames) >= 3
        for frame in frames[:-1]:
            lines = re.sub("\x1b\\[[?0-9]*[A-Za-z]", "", frame).splitlines()
            assert len(lines) == 9
            assert max(map(len, lines)) <= 40
            assert "and more" in lines[-1]
        assert before.startswith("\x1b[?1049h\x1b[?25l")
        assert "\x1b[?25h" in before[-10:]
        assert after.strip() == "100 calls, at most 1.0 s behind, 0.0 s lost"


def on_a_terminal(path: Path, leave: signal.Signals) -> str:
    """All that a window of 40 columns and 10 lines gets, of a watch that somebody leaves after a few pictures."""
    script = (
        "import sys; from argparse import Namespace; from supervisor.commands import calls; calls.EVERY = 0.02;"
        "sys.exit(calls.run(Namespace(socket=sys.argv[1], watch=True, json=False, action=None, call_id=None), {'TERM': 'xterm'}))"
    )
    ours, theirs = pty.openpty()
    try:
        environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        subprocess.run(["stty", "cols", "40", "rows", "10"], stdin=theirs, check=True)
        child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=environ)
        os.close(theirs)
        shown = b""
        while shown.count(b"\x1b[H") < 4:
            shown += os.read(ours, 4096)
        child.send_signal(leave)
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # EIO: nobody has the terminal any more
                break
        assert child.wait(DEADLINE) == 0
    finally:
        os.close(ours)
    return shown.decode()
