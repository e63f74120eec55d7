"""One event, one line of JSON: whatever is in it, every reader and every terminal can take it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.events import Transcript, UtteranceEnd
from supervisor.sinks.encoding import json_line, lines_of
from tests.sinks.making import TIME, closed, ended, gap, guessed, said, started, word

# What a terminal would obey, and what some readers take for the end of a line.
OBEYED = [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\u061c", "\u200e", "\u2028", "\u2029", "\u202e", "\u2066"]


def read(line: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.parametrize("event", [started(), said("a"), guessed("a"), gap(), closed(), ended()])
def test_every_event_has_its_version_its_type_its_call_and_its_time(event) -> None:  # type: ignore[no-untyped-def]
    found = read(json_line(event))

    assert [found["v"], found["type"], found["call_id"], found["time"]] == [1, event.__struct_config__.tag, "c", TIME]
    assert lines_of("jsonl").line(event) == json_line(event)


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_any_text_is_one_line_that_gives_it_back(text: str, call_id: str) -> None:
    line = json_line(said(text, call_id=call_id))

    assert line.endswith(b"\n")
    assert len(line.splitlines()) == 1
    found = read(line)
    assert found["text"].encode("utf-8", "replace") == text.encode("utf-8", "replace")
    assert found["call_id"].encode("utf-8", "replace") == call_id.encode("utf-8", "replace")


@pytest.mark.parametrize("character", OBEYED, ids=lambda character: f"U+{ord(character):04X}")
def test_nothing_that_a_terminal_obeys_is_in_the_line_and_nothing_is_lost(character: str) -> None:
    line = json_line(said(f"a{character}b", words=[word(f"{character}c")])).decode()

    assert character not in line[:-1]
    assert read(line.encode())["text"] == f"a{character}b"


class TestRaw:
    def test_a_message_over_several_lines_becomes_one(self) -> None:
        raw = msgspec.Raw(b'{\r\n  "type": "Results",\n  "text": "a\\nb"\n}')
        line = json_line(said("a", raw=raw))

        assert len(line.splitlines()) == 1
        assert read(line)["raw"] == {"type": "Results", "text": "a\nb"}

    def test_what_a_terminal_obeys_is_escaped_in_it_too(self) -> None:
        line = json_line(said("a", raw=msgspec.Raw('{"text": "\x9b2J\x7f\u202e"}'.encode())))

        assert line.isascii()
        assert b"\x7f" not in line
        assert read(line)["raw"] == {"text": "\x9b2J\x7f\u202e"}

    def test_beside_a_lone_surrogate_it_is_still_told(self) -> None:
        """As the undecodable bytes of a command line become one in the call's id."""
        line = json_line(said("a", call_id="x\udcff", words=[word("w\ud800", 1)], raw=msgspec.Raw(b'{"n": 1}')))
        found = read(line)

        assert (found["call_id"], found["raw"], found["words"][0]["word"]) == ("x?", {"n": 1}, "w?")
        assert found["words"][0]["speaker"] == 1

    def test_without_it_there_is_no_such_field(self) -> None:
        assert "raw" not in read(json_line(said("a")))
        assert "raw" not in read(json_line(said("\ud800")))


def test_a_lone_surrogate_changes_nothing_else() -> None:
    for event, same in [
        (ended("\ud800"), ended("?")),
        (started("\ud800", "l\udc00"), started("?", "l?")),
        (UtteranceEnd(call_id="\ud800", time=TIME, channel=0, last_word_end=None, session=1),
         UtteranceEnd(call_id="?", time=TIME, channel=0, last_word_end=None, session=1)),
    ]:  # fmt: skip
        assert json_line(event) == json_line(same)


def test_what_is_no_number_is_null() -> None:
    assert read(json_line(said("a", confidence=float("nan"))))["confidence"] is None


def test_a_line_reads_back_as_the_event() -> None:
    event = said("Grüße, 世界", words=[word("Grüße")])

    assert msgspec.json.decode(json_line(event), type=Transcript) == event
