"""The events are a contract: names that other programs read are written down here a second time, and may only be added to.

A change of this table is a change of the major version.
"""

from __future__ import annotations

from typing import get_args, get_type_hints

import msgspec
import pytest

from supervisor import events
from supervisor.events import (
    AudioTotals,
    CallEnded,
    Channel,
    Event,
    Gap,
    GapReason,
    Latency,
    Transcript,
    UtteranceEnd,
    Word,
)

EVERY_EVENT = "v type call_id time"
EVENTS = {
    "call_started": "source encoding sample_rate channels metadata version",
    "session_opened": "session request_id attempt replay_from",
    "transcript": "seq segment channel start end text is_final speech_final confidence words session request_id replayed",
    "speech_started": "channel start session",
    "utterance_end": "channel last_word_end session synthesized",
    "gap": "channel start end reason",
    "session_closed": "session code reason status payload dg_error err_code request_id verdict advice retry_in attempt"
    " uptime sent server_heard keepalives last_audio_age last_result_age backlog",
    "call_ended": "outcome sessions closure latency billed audio",
}
PARTS = {
    Channel: "index label",
    Word: "word punctuated_word start end confidence speaker",
    Latency: "p50 p95",
    AudioTotals: "heard filled acknowledged lost withheld unfinished replayed injected duplicate"
    " heard_frames filled_frames acknowledged_frames lost_frames withheld_frames unfinished_frames replayed_frames"
    " injected_frames duplicate_frames",
}
GAP_REASONS = "overflow source_gap paused undecodable server_skipped gave_up aborted stopped"
OUTCOMES = "complete aborted gave_up stopped"
CLASSES: dict[str, type[Event]] = {
    str(each.__struct_config__.tag): each
    for each in vars(events).values()
    if isinstance(each, type) and issubclass(each, Event) and each is not Event
}
COMMON = {"call_id": "c", "time": "2026-01-01T00:00:00Z"}


def test_no_event_is_missing_and_none_is_unwritten() -> None:
    assert EVENTS.keys() == CLASSES.keys()


@pytest.mark.parametrize("kind", list(EVENTS))
def test_an_event_has_the_fields_of_the_contract(kind: str) -> None:
    expected = {*EVERY_EVENT.split(), *EVENTS[kind].split()}

    assert expected == {"type", *CLASSES[kind].__struct_fields__} - {"raw"}


@pytest.mark.parametrize("part", list(PARTS))
def test_its_parts_have_theirs(part: type[msgspec.Struct]) -> None:
    assert set(PARTS[part].split()) == set(part.__struct_fields__)


def test_the_words_that_a_reader_may_branch_on() -> None:
    assert set(GAP_REASONS.split()) == set(get_args(GapReason))
    assert set(OUTCOMES.split()) == set(get_args(get_type_hints(CallEnded)["outcome"]))
    assert get_type_hints(Gap)["reason"] == GapReason


@pytest.mark.parametrize("kind", ["transcript", "speech_started", "utterance_end"])
def test_deepgrams_own_message_can_be_beside_it(kind: str) -> None:
    assert "raw" in CLASSES[kind].__struct_fields__


def told(event: Event) -> dict[str, object]:
    decoded: dict[str, object] = msgspec.json.decode(msgspec.json.encode(event))
    return decoded


def test_what_is_not_known_is_null_and_not_left_out() -> None:
    """A reader may take each field without asking whether it is there; `raw` is there where it was asked for."""
    ended = told(UtteranceEnd(**COMMON, channel=0, last_word_end=None, session=1))

    assert ended == {
        "type": "utterance_end",
        "v": 1,
        **COMMON,
        "channel": 0,
        "last_word_end": None,
        "session": 1,
        "synthesized": False,
    }


def test_a_word_has_no_more_than_the_server_gave() -> None:
    """A speaker or a punctuated word that is null would read as a claim about the audio."""
    words = [
        Word(word="a", start=0.0, end=0.5, confidence=1.0),
        Word(word="b", start=0.5, end=1.0, confidence=1.0, punctuated_word="B.", speaker=0),
    ]
    transcript = Transcript(
        **COMMON,
        seq=None,
        segment=0,
        channel=0,
        start=0.0,
        end=1.0,
        text="a B.",
        is_final=False,
        speech_final=False,
        confidence=1.0,
        words=words,
        session=1,
        request_id="r",
        replayed=False,
        raw=msgspec.Raw(b'{"x": 1}'),
    )

    found = told(transcript)

    assert found["seq"] is None
    assert found["raw"] == {"x": 1}
    assert found["words"] == [
        {"word": "a", "start": 0.0, "end": 0.5, "confidence": 1.0},
        {"word": "b", "start": 0.5, "end": 1.0, "confidence": 1.0, "punctuated_word": "B.", "speaker": 0},
    ]


def test_a_gap_in_all_channels_names_none() -> None:
    gap = told(Gap(**COMMON, start=1.0, end=2.0, reason="overflow"))

    assert (gap["type"], gap["channel"]) == ("gap", None)
