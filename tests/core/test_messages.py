"""Deepgram's messages as they come over the wire, and everything else that may."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.messages import (
    KNOWN,
    Alternative,
    Error,
    HeardWord,
    Message,
    Metadata,
    Other,
    Results,
    SpeechStarted,
    Unreadable,
    UtteranceEnd,
    parse,
)

CAPTURED = """{"type":"Results","channel_index":[0,1],"duration":1.6599998,"start":17.0,"is_final":true,
"speech_final":true,"channel":{"alternatives":[{"transcript":"For the United States.","confidence":0.9990865,"words":[
{"word":"for","start":17.56,"end":17.72,"confidence":0.9873626,"punctuated_word":"For"},
{"word":"the","start":17.72,"end":17.88,"confidence":0.9990865,"punctuated_word":"the","speaker":1}]}]},
"metadata":{"request_id":"e1985d01","model_info":{"name":"2-general-nova","arch":"nova-3"},"model_uuid":"fdf3c"},
"from_finalize":false,"entities":[{"label":"GPE","value":"United States"}]}"""


def test_a_result_as_it_was_captured():
    results = parse(CAPTURED)

    assert isinstance(results, Results)
    assert (results.start, results.end) == (17.0, 18.6599998)
    assert (
        results.is_final,
        results.speech_final,
        results.from_finalize,
        results.channel_index,
    ) == (True, True, False, (0, 1))
    assert results.best == Alternative(
        "For the United States.",
        0.9990865,
        (HeardWord("for", 17.56, 17.72, 0.9873626, "For"), HeardWord("the", 17.72, 17.88, 0.9990865, "the", 1)),
    )


@pytest.mark.parametrize(
    "text, expected",
    [
        ('{"type":"UtteranceEnd","channel":[0,1],"last_word_end":2.395}', UtteranceEnd(2.395, (0, 1))),
        ('{"type":"UtteranceEnd","channel":[1,2],"last_word_end":-1}', UtteranceEnd(-1, (1, 2))),
        ('{"type":"SpeechStarted","channel":[0,1],"timestamp":9.54}', SpeechStarted(9.54, (0, 1))),
        (
            '{"type":"Metadata","transaction_key":"deprecated","request_id":"r","sha256":"e3b0","duration":0.0,"channels":0}',
            Metadata(0.0, "r"),
        ),
        (
            '{"type":"Error","variant":"SchemaError","description":"Could not deserialize","message":"unknown variant"}',
            Error("SchemaError", "Could not deserialize", "", "unknown variant"),
        ),
        ('{"type":"Warning","code":"SLOW"}', Other("Warning")),
        ('{"type":"' + "N" * 5000 + '"}', Other("N" * 100)),
    ],
)
def test_each_kind(text: str, expected: Message):
    assert expected == parse(text)
    assert expected == parse(text.encode())


def test_a_result_without_alternatives_says_nothing():
    results = parse('{"type":"Results","start":1,"duration":1,"channel":{"alternatives":[]}}')

    assert isinstance(results, Results)
    assert Alternative() == results.best


@pytest.mark.parametrize(
    "changed",
    [
        {"start": "17"},
        {"start": None},
        {"start": 1e8},
        {"start": -2},
        {"duration": 1e300},
        {"channel": None},
        {"channel": {"alternatives": None}},
        {"channel": {"alternatives": [{"words": [{"word": "a", "start": 0}]}]}},
        {"channel": {"alternatives": [{"words": [{"word": "a", "start": 0, "end": 1e9}]}]}},
        {"channel": {"alternatives": [{"confidence": 1e9}]}},
        {"channel_index": [-1, 1]},
        {"channel_index": [10**30, 1]},
        {"channel_index": [0]},
        {"is_final": "true"},
    ],
)
def test_a_result_that_makes_no_sense_is_unreadable_not_a_crash_and_not_a_guess(changed):
    assert isinstance(parse(json.dumps({**json.loads(CAPTURED), **changed})), Unreadable)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '"Results"',
        '{"type":""}',
        '{"type":null}',
        '{"type":5}',
        '{"type":"Results"}',
        '{"type":"Results","start":NaN}',
        b"\xff\xfe",
        "\udcff",
        '{"type":"Results",' * 2000,
        "[" * 100_000,
        '{"type":"Novelty","x":' + "[" * 100_000,
        CAPTURED[:-1],
    ],
)
def test_what_is_no_message_is_said_to_be_none(text: str | bytes):
    unreadable = parse(text)

    assert isinstance(unreadable, Unreadable)
    assert 0 < len(unreadable.problem) <= 200


def test_a_known_kind_that_cannot_be_read_is_not_taken_for_an_unknown_one():
    """It would be survived as a novelty though it is a message that matters."""
    for kind in KNOWN - {"Metadata", "Error", "SpeechStarted", "UtteranceEnd"}:
        assert isinstance(parse(json.dumps({"type": kind})), Unreadable)
    for kind, broken in (("Metadata", "duration"), ("UtteranceEnd", "channel"), ("SpeechStarted", "timestamp")):
        assert isinstance(parse(json.dumps({"type": kind, broken: "x"})), Unreadable)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "start", "duration", "channel", "alternatives", "words", "channel_index"]), inner
        )
    ),
    max_leaves=20,
)


@given(JSON, st.sampled_from([*sorted(KNOWN), "Novelty"]))
def test_no_json_is_a_crash(value, kind):
    for each in (value, {**value, "type": kind} if isinstance(value, dict) else {"type": kind, "x": value}):
        message = parse(json.dumps(each))

        assert not isinstance(message, Results) or 0 <= message.channel_index[0] <= 1000


@given(st.binary() | st.text())
def test_no_bytes_are_a_crash(data):
    assert isinstance(parse(data), Unreadable | Other)


@given(st.integers(0, len(CAPTURED) - 1), st.characters())
def test_one_wrong_character_is_no_crash(index, character):
    assert isinstance(parse(CAPTURED[:index] + character + CAPTURED[index + 1 :]), Results | Other | Unreadable)
