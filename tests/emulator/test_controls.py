"""The text messages of a client: Finalize, CloseStream, KeepAlive, Configure, and what is none of them."""

import pytest

from supervisor.emulator.saying import End

from .client import LISTEN, end_of
from .listener import Listener, spoken


def test_finalize_makes_all_of_the_audio_so_far_final_and_says_so():
    heard = Listener().speak(1.7).control("Finalize").wait(2)

    assert [each["from_finalize"] for each in heard.finals] == [True]
    assert pytest.approx(end_of(heard.finals[0])) == 1.7
    assert spoken(1.7) == heard.words()


def test_finalize_with_too_little_audio_has_no_answer():
    heard = Listener().control("Finalize").speak(0.06).control("Finalize").wait(2)

    assert heard.results == []


def test_finalize_twice_has_one_answer():
    heard = Listener().speak(1.7).control("Finalize").control("Finalize").wait(2)

    assert len(heard.finals) == 1


def test_finalize_of_one_channel_leaves_the_others_alone():
    stereo = LISTEN + "&channels=2&multichannel=true"
    heard = Listener(target=stereo).speak(3.0, piece=0.1)  # 1.5 s of two channels
    heard.control("Finalize", channel=1).wait(2)

    assert [each["channel_index"] for each in heard.finals] == [[1, 2]]
    assert pytest.approx(end_of(heard.finals[0])) == 1.5


@pytest.mark.parametrize("channel", [1, 7])
def test_finalize_of_a_channel_that_does_not_exist_has_no_answer(channel):
    heard = Listener().speak(1.7).control("Finalize", channel=channel).wait(2)

    assert heard.finals == []


@pytest.mark.parametrize("channel", ["0", 0.5, True, [0], -1])
def test_finalize_of_what_is_no_channel_is_a_schema_error(channel):
    heard = Listener().speak(1.7).control("Finalize", channel=channel).wait(2)

    assert [each["variant"] for each in heard.of("Error")] == ["SchemaError"]
    assert heard.finals == []


def test_close_stream_is_answered_by_the_last_finals_then_metadata_then_1000():
    heard = Listener().speak(2.5).control("CloseStream").wait(3)
    last = [each if isinstance(each, End) else each["type"] for _, each in heard.heard][-3:]

    assert ["Results", "Metadata", End(1000, "")] == last
    assert heard.finals[-1]["from_finalize"] is False
    assert spoken(2.5) == heard.words()


def test_metadata_tells_what_was_heard():
    metadata = Listener().speak(2.5).control("CloseStream").wait(3).of("Metadata")[0]

    assert (metadata["duration"], metadata["channels"], metadata["request_id"]) == (2.5, 1, "r")
    assert metadata["created"] == "2026-01-01T00:00:00.000Z"
    assert metadata["models"] == list(metadata["model_info"])


def test_metadata_of_a_connection_without_audio_is_the_documented_one():
    metadata = Listener().control("CloseStream").wait(3).of("Metadata")[0]

    assert metadata == {
        "type": "Metadata",
        "transaction_key": "deprecated",
        "request_id": "r",
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "created": "2026-01-01T00:00:00.000Z",
        "duration": 0.0,
        "channels": 0,
    }


def test_an_empty_message_is_close_stream():
    asked, empty = (Listener().speak(2.5) for _ in range(2))
    asked.control("CloseStream").wait(3)
    empty.audio(b"").wait(3)

    assert [each for _, each in asked.heard] == [each for _, each in empty.heard]
    assert (asked.record.zero_length, empty.record.zero_length) == (0, 1)


def test_audio_after_close_stream_is_not_heard():
    heard = Listener().speak(2.5).control("CloseStream").speak(0.02).control("CloseStream").wait(3)

    assert heard.of("Metadata")[0]["duration"] == 2.5
    assert len(heard.ends) == 1


def test_keep_alive_has_no_answer_and_moves_no_clock():
    heard = Listener().speak(1.0).wait(0.7)
    before = len(heard.heard)
    for _ in range(5):
        heard.control("KeepAlive").wait(5)

    assert before == len(heard.heard)

    heard.speak(4.0).control("Finalize").wait(1)

    assert pytest.approx(end_of(heard.finals[-1])) == 5.0


SPOKEN_TO = "Could not deserialize last text message: "


def test_a_variant_that_is_unknown_is_told_in_the_servers_own_words():
    """As a user's log has it, down to the column."""
    error = Listener().text('{ "type": "KeepAlive "}').wait(1).of("Error")

    assert error == [
        {
            "type": "Error",
            "variant": "SchemaError",
            "description": SPOKEN_TO + "unknown variant `KeepAlive `, expected one of `CloseStream`, `Configure`, "
            "`Sync`, `KeepAlive`, `Finalize` at line 1 column 22",
            "message": '{ "type": "KeepAlive "}',
        }
    ]


def test_a_field_of_configure_that_is_unknown_is_told_as_documented():
    error = Listener().text('{"type": "Configure", "keyterm": ["Deepgram"]}').wait(1).of("Error")

    assert error == [
        {
            "type": "Error",
            "variant": "SchemaError",
            "description": SPOKEN_TO + "unknown field `keyterm`, expected one of `features`, `processors`, "
            "`keyterms`, `language_hints`",
            "message": '{"type": "Configure", "keyterm": ["Deepgram"]}',
        }
    ]


@pytest.mark.parametrize(
    "text",
    ["", "hello", "[]", "null", "1e999", "{", '{"type": 7}', '{"type": null}', "{}", '{"type":"keepalive"}', "[" * 99999,
     '{"type":"Configure","keyterms":7}', '{"type":"\\u0000"}', "\x00", '{"type":"' + "x" * 99999 + '"}'],
)  # fmt: skip
def test_a_text_that_is_wrong_is_told_and_does_not_end_the_connection(text):
    heard = Listener().speak(1).text(text).wait(0.2).speak(1.0).control("CloseStream").wait(3)

    assert [each["variant"] for each in heard.of("Error")] == ["SchemaError"]
    assert spoken(2) == heard.words()
    assert [each.code for _, each in heard.ends] == [1000]


def test_configure_is_answered_once():
    heard = Listener().control("Configure", keyterms=["Deepgram"]).wait(1)
    heard.control("Configure", features={"numerals": True}).wait(1)

    assert heard.of("ConfigureSuccess") == [
        {"type": "ConfigureSuccess", "request_id": "r", "keyterms": ["Deepgram"]},
        {"type": "ConfigureSuccess", "request_id": "r"},
    ]


def test_keyterms_are_for_nova_3():
    heard = Listener(target=LISTEN.replace("nova-3", "nova-2")).control("Configure", keyterms=["Deepgram"]).wait(1)

    assert heard.of("Error") == [
        {
            "type": "Error",
            "variant": "InvalidConfigureMessage",
            "description": "`keyterms` are only supported for Nova-3 and Flux.",
            "code": "KeytermsNotSupported",
        }
    ]
