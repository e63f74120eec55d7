"""Logs: nothing secret in them, nothing that a terminal would obey, and no call that notices when they break."""

from __future__ import annotations

import json
import logging
import os
import pty
import warnings
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cleaning import REMEMBERED, Secrets, cleaner
from supervisor.logs import build, configure, is_journal, wants_colour

KEY = "0123456789abcdef0123456789abcdef01234567"


class Lines:
    """A logger, and the lines it has written into a file."""

    def __init__(self, path: Path, environ: dict[str, str] | None = None, **more: Any) -> None:
        self.file = path.open("w+b")
        self.secrets = Secrets()
        self.log = build(environ or {}, secrets=self.secrets, fd=self.file.fileno(), **more)

    @property
    def text(self) -> str:
        return os.pread(self.file.fileno(), 1 << 20, 0).decode()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Lines]:
    made = Lines(tmp_path / "log")
    yield made
    made.file.close()


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Lines]:
    made = Lines(tmp_path / "console", form="console")
    yield made
    made.file.close()


class TestSecrets:
    @pytest.mark.parametrize(
        "field", ["authorization", "Authorization", "api_key", "apikey", "api-key", "access_token", "token", "client_secret", "password"]
    )
    def test_a_field_that_is_called_one_is_hidden(self, lines: Lines, console: Lines, field: str) -> None:
        for each in (lines, console):
            each.log.info("dialled", **{field: "short"}, headers=[{field: "short", "deep": {field: b"short"}}])

        assert "short" not in lines.text + console.text
        assert lines.events[0][field] == "***"

    @pytest.mark.parametrize("field", ["keyterm", "tokens_used", "author", "api_keys_read", "passed"])
    def test_a_field_that_only_sounds_like_one_is_not(self, lines: Lines, field: str) -> None:
        lines.log.info("dialled", **{field: "short"})

        assert lines.events[0][field] == "short"

    @pytest.mark.parametrize(
        "text", [f"Token {KEY}", f"authorization: token {KEY}", "Bearer eyJhbGciOi.J9.abc-1", "basic dXNlcjpwYXNz1234",
                 f"wss://{KEY}@host/", f"https://me:{KEY}@host"]
    )  # fmt: skip
    def test_what_is_shaped_like_one_is_hidden(self, lines: Lines, text: str) -> None:
        lines.log.info("said", what=f"before {text} after", more=[text.encode()])
        secret = text.split()[-1]

        assert secret not in lines.text
        assert KEY not in lines.text
        assert lines.events[0]["what"].startswith("before ")
        assert lines.events[0]["what"].endswith(" after")

    def test_an_ordinary_sentence_is_left_alone(self, lines: Lines) -> None:
        lines.log.info("said", what="the token was refused; basic authentication is wss://host/v1?a=b@c")

        assert lines.events[0]["what"] == "the token was refused; basic authentication is wss://host/v1?a=b@c"

    def test_one_that_was_learned_is_hidden_wherever_it_stands(self, lines: Lines, console: Lines) -> None:
        class Odd:
            def __str__(self) -> str:
                return "odd s3cr3t-word"

        class Struct(msgspec.Struct):
            text: str

        class Choice(Enum):
            ONE = "s3cr3t-word"

        for each in (lines, console):
            each.secrets.add("s3cr3t-word")
            each.log.info(
                "event s3cr3t-word", a="xs3cr3t-wordx", b=b"s3cr3t-word", c=["s3cr3t-word"], d={"s3cr3t-word": 1}, e=Odd(),
                f=Struct("s3cr3t-word"), g=Choice.ONE, h=ValueError("s3cr3t-word"), i={"s3cr3t-word"}, j=Path("/s3cr3t-word"),
                k="s3cr3t\x1b[0m-word", l="x" * 1995 + "s3cr3t-word", m=b"x" * 1995 + b"s3cr3t-word",
            )  # fmt: skip
            try:
                raise ValueError("s3cr3t-word")
            except ValueError:
                each.log.exception("failed")

            assert "s3cr3t" not in each.text.replace("\x1b[0m", "")
        assert lines.events[0]["a"] == "x***x"

    def test_the_longer_of_two_is_hidden_whole(self) -> None:
        secrets = Secrets()
        for secret in ("abcdef", "abcdefghi"):
            secrets.add(secret)

        assert secrets.hide("abcdefghi abcdef") == "*** ***"

    def test_however_deep_it_lies(self, lines: Lines) -> None:
        value: Any = {"token": "short"}
        for _ in range(20):
            value = {"in": value}
        lines.log.info("deep", value=value, many=[[[[[[[[{"token": "short"}]]]]]]]])

        assert "short" not in lines.text

    def test_keys_that_change_for_months_cost_nothing(self) -> None:
        secrets = Secrets()
        for number in range(10_000):
            secrets.add(f"secret-{number}")

        assert secrets.hide("secret-9999") == "***"
        assert len(secrets._known) <= REMEMBERED

    def test_a_word_too_short_to_be_one_is_not_learned(self) -> None:
        secrets = Secrets()
        secrets.add("a")

        assert secrets.hide("a cat") == "a cat"

    def test_one_that_is_learned_later_is_hidden_in_the_name_of_a_field_too(self, lines: Lines) -> None:
        lines.log.info("event", **{"s3cr3t-word": 1})
        lines.secrets.add("s3cr3t-word")
        lines.log.info("event", **{"s3cr3t-word": 1})

        assert ["s3cr3t" in line for line in lines.text.splitlines()] == [True, False]


class TestCallers:
    def test_who_called_is_masked_and_which_call_it_was_is_not(self, lines: Lines, console: Lines) -> None:
        call = "40325ec2-5efd-4bd3-805f-553576581013"
        for each in (lines, console):
            each.log.info(
                "call_failed 15551234567", call_id="+15551234567", request_id=call, sent=123456789012, at=1795343335.5,
                problem="cannot write calls/15551234567.jsonl", peer="10.0.0.1:50600", data=b"tel:+15551234567",
                metadata={"uuid": call, "caller": "5551234", "toPhone": 5551234, "from": ["5551234"], "ani": {"as_is": "5551234"},
                          "15551234567": 1, "ports": [40001, 40002], "extension": 1234, "cli": None, "callee": 5551234.0},
            )  # fmt: skip
            try:
                raise ValueError("from 15551234567")
            except ValueError:
                each.log.exception("failed")

            assert "5551234" not in each.text
        first = lines.events[0]
        assert first["metadata"] == {
            "uuid": call, "caller": "***1234", "toPhone": "***1234", "from": ["***1234"], "ani": {"as_is": "***1234"},
            "1555***4567": 1, "ports": [40001, 40002], "extension": 1234, "cli": None, "callee": "***1234",
        }  # fmt: skip
        assert {name: first[name] for name in ("event", "call_id", "request_id", "sent", "at", "peer")} == {
            "event": "call_failed 1555***4567", "call_id": "+1555***4567", "request_id": call, "sent": 123456789012,
            "at": 1795343335.5, "peer": "10.0.0.1:50600",
        }  # fmt: skip

    def test_the_lines_of_one_caller_can_be_found_together(self, lines: Lines) -> None:
        for call_id in ("+15551234567", "+1 (555) 123-4567", "%2B15551234567"):
            lines.log.info("session_opened", call_id=call_id)

        assert {event["call_id"] for event in lines.events} == {"+1555***4567"}

    def test_a_number_at_the_cut_is_masked_before_it(self, lines: Lines) -> None:
        lines.log.info("event", text="x" * 1990 + " 15551234567")

        assert "15551" not in lines.text

    @pytest.mark.parametrize("field", ["dtmf", "digit", "digits", "pressed_digits"])
    def test_what_a_caller_types_is_hidden(self, lines: Lines, field: str) -> None:
        lines.log.info("event", **{field: "42"}, nested={field: ["4", "2"]})

        assert "4" not in json.dumps([{**event, "timestamp": ""} for event in lines.events])


class TestLines:
    @given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(exclude_categories=())), st.binary()),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
        max_leaves=8,
    )))  # fmt: skip
    def test_whatever_is_logged_is_one_line_of_json(self, fields: dict[str, Any]) -> None:
        reads, writes = os.pipe()
        try:
            build({}, fd=writes).info("event", **fields)
            line = os.read(reads, 1 << 20)
        finally:
            os.close(reads)
            os.close(writes)

        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert json.loads(line)["event"] == "event"

    def test_time_level_and_event_come_first(self, lines: Lines) -> None:
        lines.log.warning("session_closed", code=1011)

        assert list(lines.events[0]) == ["timestamp", "level", "event", "code"]
        assert lines.events[0]["level"] == "warning"

    def test_nothing_that_a_terminal_obeys(self, lines: Lines, console: Lines) -> None:
        for each in (lines, console):
            each.log.info("a\x1b[2Jb", text="\x1b]0;title\x07word\x9b31m\nnext", **{"ke\x1b[2Jy": "v"})

            assert all(character.isprintable() for line in each.text.splitlines() for character in line)
        assert "word next" in console.text

    def test_a_value_is_cut_where_it_is_too_long(self, lines: Lines) -> None:
        lines.log.info("event", text="x" * 100_000, data=b"y" * 100_000)

        assert len(lines.text) < 5_000

    def test_a_value_whose_text_is_broken_loses_no_line(self, lines: Lines) -> None:
        class Broken:
            def __str__(self) -> str:
                raise RuntimeError

        lines.log.info("event", value=Broken())

        assert lines.events[0]["value"] == "<Broken>"

    def test_an_exception_has_its_traceback(self, lines: Lines, console: Lines) -> None:
        for each in (lines, console):
            try:
                raise ExceptionGroup("several", [ValueError("first"), KeyError("second")])
            except ExceptionGroup:
                each.log.exception("failed")

            assert "ValueError: first" in each.text
        assert "\n" in lines.events[0]["exception"]

    def test_below_the_level_there_is_nothing(self, tmp_path: Path) -> None:
        made = Lines(tmp_path / "log", level="error")
        made.log.warning("no")
        made.log.error("yes")

        assert [event["event"] for event in made.events] == ["yes"]
        made.file.close()


class TestJournal:
    def test_each_line_of_an_entry_has_its_priority(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.touch()
        status = path.stat()
        made = Lines(path, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}, level="debug")
        for method in ("debug", "info", "warning", "error", "critical"):
            getattr(made.log, method)("event")

        assert [line[:3] for line in made.text.splitlines()] == ["<7>", "<6>", "<4>", "<3>", "<2>"]
        assert json.loads(made.text.splitlines()[0][3:])["event"] == "event"
        made.file.close()

    def test_a_traceback_on_the_console_form_too(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.touch()
        status = path.stat()
        made = Lines(path, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}, form="console")
        try:
            raise ValueError
        except ValueError:
            made.log.exception("failed")

        assert len(made.text.splitlines()) > 2
        assert all(line.startswith("<3>") for line in made.text.splitlines())
        made.file.close()

    def test_another_file_is_none(self, lines: Lines) -> None:
        lines.log.info("event")

        assert lines.text.startswith("{")
        assert not is_journal(lines.file.fileno(), {"JOURNAL_STREAM": "1:2"})
        assert not is_journal(987654, {})


class TestColour:
    @pytest.mark.parametrize(
        "environ, terminal, expected",
        [
            ({}, True, True),
            ({}, False, False),
            ({"NO_COLOR": "1"}, True, False),
            ({"NO_COLOR": ""}, True, True),
            ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
            ({"FORCE_COLOR": "1"}, False, True),
            ({"TERM": "dumb"}, True, False),
        ],
    )
    def test_who_decides(self, environ: dict[str, str], terminal: bool, expected: bool) -> None:
        master, slave = pty.openpty()
        with os.fdopen(slave, "w") as tty_stream, Path(os.devnull).open("w") as other:
            assert wants_colour(tty_stream if terminal else other, environ) is expected
        os.close(master)

    def test_without_a_stream_there_is_none(self) -> None:
        assert wants_colour(None, {}) is False

    @pytest.mark.parametrize("environ, coloured", [({}, True), ({"NO_COLOR": "1"}, False)])
    def test_on_a_terminal_the_line_begins_over_the_status_line(self, environ: dict[str, str], coloured: bool) -> None:
        master, slave = pty.openpty()
        with os.fdopen(slave, "w") as stream:
            build(environ, stream=stream, fd=slave).info("event", field="value")
            line = os.read(master, 4096).decode()
        os.close(master)

        assert line.startswith("\r\x1b[K")
        assert ("\x1b[" in line.removeprefix("\r\x1b[K")) is coloured
        assert line.endswith("\r\n")


class TestConfigure:
    @pytest.fixture(autouse=True)
    def _as_it_was(self) -> Iterator[None]:
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        yield
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(False)

    def test_the_standard_librarys_records_go_the_same_way(self, capfd: pytest.CaptureFixture[str]) -> None:
        with Path("/proc/self/fd/2").open("w") as stream, pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stderr", stream)
            secrets = Secrets()
            secrets.add("s3cr3t-word")
            configure({}, secrets=secrets)
            logging.getLogger("other").warning("about %s", "s3cr3t-word")
            logging.getLogger("other").info("not told")
            logging.getLogger("trio-websocket").debug("frame")
            logging.getLogger("other").error("%d", "no number")
            try:
                raise ValueError("x")
            except ValueError:
                logging.getLogger("other").exception("failed")
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn("old", DeprecationWarning, stacklevel=1)
        events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]

        assert [(event["level"], event["event"], event["logger"]) for event in events[:3]] == [
            ("warning", "about ***", "other"),
            ("error", "log_record_unreadable", "other"),
            ("error", "failed", "other"),
        ]
        assert "ValueError: x" in events[2]["exception"]
        assert "DeprecationWarning: old" in events[3]["event"]

    def test_without_standard_error_nothing_is_written_anywhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stderr", None)
        log = configure({})
        log.info("event")
        logging.getLogger("other").warning("event")


def test_cleaning_leaves_jsons_own_types_alone() -> None:
    event = {"a": 1, "b": 1.5, "c": None, "d": True, "e": [1], "f": {"g": 2}, "h": 2**70}

    assert cleaner(Secrets())(None, "info", event) == event | {"h": str(2**70)}
