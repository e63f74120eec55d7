"""`explain` says what is done: the same table, all of Deepgram's advice, and text that is fit for a terminal."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.catalogue import TABLE, advice, classify, entry_of
from supervisor.core.catalogue.refusals import REFUSALS
from supervisor.core.closure import Closure, Verdict
from supervisor.core.problem import Exit, Problem
from supervisor.explain import explain_text

# A closure for each entry of the table, as a session would end with it.
EXAMPLES = {
    "DATA-0000": Closure(code=1008, reason="DATA-0000", opened=True),
    "NET-0000": Closure(code=1011, reason="See https://dpgr.am/net0000", opened=True),
    "NET-0001": Closure(code=1011, reason="See https://dpgr.am/net0001", opened=True),
    "NET-0002": Closure(code=1011, reason="no_audio_timeout", opened=True),
    **{key: Closure(code=int(key), opened=True) for key in TABLE if re.fullmatch(r"1\d{3}", key)},
    "1000-asked": Closure(code=1000, finishing=True, metadata=True, opened=True),
    "1005-asked": Closure(code=1005, finishing=True, opened=True),
    "1011-ping": Closure(code=1011, reason="keepalive ping timeout", opened=True),
    "4xxx": Closure(code=4400, opened=True),
    "unknown": Closure(code=3000, opened=True),
    **{key: Closure(status=int(key)) for key in TABLE if re.fullmatch(r"[45]\d\d", key)},
    "1xx": Closure(status=103),
    "2xx": Closure(status=200),
    "3xx": Closure(status=301),
    "4xx": Closure(status=418),
    "5xx": Closure(status=507),
    "key": Closure(reason="the file of the key cannot be read", unkeyed=True),
    "dns": Closure(reason="[Errno -2] Name or service not known"),
    "refused": Closure(reason="[Errno 111] Connection refused"),
    "tls": Closure(reason="certificate verify failed: unable to get local issuer certificate"),
    "proxy": Closure(reason="the proxy answered 407"),
    "upgrade": Closure(reason="upgrade timed out"),
    "dial": Closure(reason="dial timed out"),
    "ping": Closure(reason="no response to a ping", opened=True),
    "results": Closure(reason="no Results", opened=True),
    "stalled": Closure(reason="network does not take audio", opened=True),
    "patience": Closure(reason="no answer to CloseStream", opened=True, finishing=True),
    "ended": Closure(opened=True),
}


def squeezed(text: str) -> str:
    return " ".join(text.split())


def said_verdict(text: str, key: str) -> str:
    found = re.search(rf"^{re.escape(key)}: .*\n  Verdict  (\w+)", text, re.MULTILINE)
    assert found, key
    return found[1]


def test_there_is_an_example_for_each_entry() -> None:
    assert EXAMPLES.keys() == TABLE.keys()


@pytest.mark.parametrize("key", list(TABLE))
def test_table_classify_advice_and_explain_agree(key: str) -> None:
    entry, closure = TABLE[key], EXAMPLES[key]
    text = explain_text([key])

    assert entry_of(closure) is entry
    assert classify(closure) is entry.verdict
    assert advice(closure).startswith(f"{key}, {entry.title}")
    if entry.overridable:
        assert said_verdict(text, key) == classify(closure).value
    else:
        assert said_verdict(text, key) == Verdict.COMPLETE.value
    if entry.verdict is Verdict.ABORT:
        assert f"abort (exit code {entry.exit_code})" in text
    for words in (entry.title, entry.meaning, entry.action, *entry.checks):
        assert squeezed(words) in squeezed(text)


@pytest.mark.parametrize("key", list(TABLE))
def test_a_closure_that_was_logged_is_explained_as_it_was_judged(key: str) -> None:
    closure = EXAMPLES[key]
    line = {
        "type": "session_closed",
        "code": closure.code,
        "status": closure.status,
        "reason": closure.reason,
        "uptime": 12.0 if closure.opened else 0.0,
        "verdict": "complete" if closure.finishing and closure.code else classify(closure).value,
        "advice": advice(closure),
    }

    text = explain_text([json.dumps(line)])

    assert f"{key}: {TABLE[key].title}" in text
    assert said_verdict(text, key) == line["verdict"]


def test_bare_it_prints_all_there_is_in_groups() -> None:
    text = explain_text([])

    assert [entry_key for entry_key in TABLE if f"\n{entry_key}: " not in text] == []
    assert [name for name in REFUSALS if f"\n{name} (" not in text] == []
    assert [line for line in text.splitlines() if line and set(line) == {"="}] != []
    assert explain_text(["", " "]) == text


@pytest.mark.parametrize(
    "advice_of_the_guide",
    [
        # a session's life
        r"refused request is answered with a status of 4xx or 5xx",
        r"dg-request-id",
        r"dg-error",
        r"close frame has a code, and a payload",
        r"ended with CloseStream: the server finishes what it holds, sends the last results and a summary",
        r"empty binary frame",
        r"KeepAlive, sent as text every 3 to 5 s",
        r"in a browser a refusal is a bare 1006",
    ],
)
def test_what_every_reader_should_know_is_told_first(advice_of_the_guide: str) -> None:
    text = squeezed(explain_text([]).partition("DATA-0000:")[0])

    assert re.search(advice_of_the_guide, text)


@pytest.mark.parametrize(
    "key, in_this_order",
    [
        (
            "DATA-0000",
            ["valid audio", "empty", "raw or in a container", "--save-sent", "play that", "encoding, the sample rate"],
        ),
        ("NET-0000", ["internal error of the server", "the retry", "status.deepgram.com", "Support", "request_id"]),
        (
            "NET-0001",
            [
                "within 10 s of the opening",
                "Silence is audio too",
                "KeepAlive alone does not hold",
                "CloseStream when it is done",
                "leave your network",
                "Wireshark",
                "curl",
            ],
        ),
        ("NET-0002", ["no audio", "silent", "KeepAlive alone"]),
        ("1000", ["nobody had asked", "empty frame", "length is not 0"]),
        ("1005", ["without a code"]),
        ("1006", ["without a close frame", "browser"]),
        ("1008", ["DATA-0000"]),
        ("1009", ["bigger"]),
        ("1011", ["NET-0000, NET-0001 or NET-0002"]),
        ("1012", ["restart"]),
        ("400", ["query parameter", "dg_error"]),
        ("401", ["missing, wrong, expired", "Reads the key once more", "DEEPGRAM_API_KEY", "Is it a temporary token"]),
        ("402", ["credit"]),
        ("403", ["model"]),
        ("404", ["/v1/listen"]),
        ("405", ["Whisper", "nova-3"]),
        ("408", ["in time"]),
        ("429", ["connections", "plan"]),
        ("503", ["Retry-After", "status.deepgram.com", "request_id"]),
    ],
)
def test_an_entry_carries_the_advice_of_deepgrams_guide(key: str, in_this_order: list[str]) -> None:
    text = squeezed(explain_text([key]))

    places = [text.find(words) for words in in_this_order]
    assert -1 not in places, in_this_order[places.index(-1)]
    assert places == sorted(places)


def test_a_code_and_a_payload_are_told_together_with_which_of_them_decides() -> None:
    for args in (["1011", "NET-0001"], ["net0001 1011"], ["NET-0001", "1011"]):
        text = explain_text(args)

        assert text.startswith("Together: NET-0001 is known first and decides: retry.\n\nNET-0001: ")
        assert "\n1011: " in text
    assert explain_text(["1008", "DATA-0000"]).startswith(
        "Together: DATA-0000 is known first and decides: abort (exit code 65)."
    )


def test_one_fact_is_not_said_to_decide() -> None:
    assert explain_text(["1011"]).startswith("1011: ")
    assert explain_text(["1000"]).startswith("1000: ")


def test_the_body_of_a_refusal_is_told_with_its_fix_and_its_name() -> None:
    body = {
        "err_code": "INVALID_QUERY_PARAMETER",
        "err_msg": "Keywords are not supported for Nova-3. Please use `keyterm` instead.",
        "request_id": "019f5990",
    }

    text = explain_text([json.dumps(body)])

    assert text.startswith("The server said: Keywords are not supported for Nova-3.")
    assert "What to do: Use keyterm in place of keywords, or a nova-2 model." in text
    assert f"INVALID_QUERY_PARAMETER: {REFUSALS['INVALID_QUERY_PARAMETER'].meaning}" in squeezed(text)
    assert "request_id 019f5990" in text
    assert "\n400: " in text


def test_words_that_are_not_known_are_repeated_without_a_fix() -> None:
    text = explain_text(['{"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials."}'])

    assert text.startswith("The server said: Invalid credentials.\nINVALID_AUTH: ")


def test_an_argument_that_the_shell_has_split_is_read_as_one() -> None:
    line = "received 1011 (internal error) Deepgram did not receive audio data or a text message"

    assert explain_text(line.split()) == explain_text([line])


@pytest.mark.parametrize("args", [["hello"], ["42"], ["99999", "NET-0009"], ["\x1b[31mx\n"], ["{"]])
def test_what_is_not_recognised_is_answered_with_what_is(args: list[str]) -> None:
    with pytest.raises(Problem) as caught:
        explain_text(args)

    said = str(caught.value)
    assert caught.value.exit_code is Exit.USAGE
    assert said.isprintable()
    for understood in ("NET-0001", "DATA-0000", "close code", "HTTP status", "INVALID_AUTH", "dns"):
        assert understood in said


def test_lines_fit_a_terminal() -> None:
    assert max(len(line) for line in explain_text([]).splitlines()) <= 100
    assert explain_text([]).isascii()


@given(st.dictionaries(st.sampled_from(["err_code", "err_msg", "message", "request_id", "reason"]), st.text()))
def test_a_hostile_body_cannot_write_to_the_terminal(body: dict[str, str]) -> None:
    text = explain_text([json.dumps({**body, "status": 401}), json.dumps(body, ensure_ascii=False)])

    assert all(line.isprintable() for line in text.split("\n"))
