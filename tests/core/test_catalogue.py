"""What each way of ending means: the literal table, the order of facts, overrides, and advice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.catalogue import TABLE, advice, check_overrides, classify, entry_of, payload_named
from supervisor.core.catalogue.refusals import REFUSALS
from supervisor.core.closure import Closure, Verdict
from supervisor.core.problem import Exit, Problem

RETRY, ABORT = Verdict.RETRY, Verdict.ABORT
NET_0001 = "Deepgram did not receive audio data or a text message within the timeout window. See https://dpgr.am/net0001"

closures = st.builds(
    Closure,
    code=st.none() | st.integers() | st.sampled_from([1000, 1005, 1006, 1008, 1011, 4400]),
    reason=st.text() | st.sampled_from(["NET-0001", "DATA-0000", "net0009", "NET-\u0660\u0660\u0660\u0661", "keepalive ping timeout"]),
    status=st.none() | st.integers() | st.integers(100, 599),
    dg_error=st.text(),
    err_code=st.text(),
    err_msg=st.text(),
    location=st.text(),
    opened=st.booleans(),
    finishing=st.booleans(),
    server_heard=st.none() | st.floats(),
    sent=st.floats(),
)


@pytest.mark.parametrize(
    "statuses, verdict",
    [
        ([100, 102, 103], RETRY),
        ([200, 204], RETRY),
        ([300, 301, 302, 307, 308], ABORT),
        ([400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 415, 418, 422, 426, 451], ABORT),
        ([408, 411, 413, 414, 425, 429, 499], RETRY),
        ([500, 501, 502, 503, 504, 505, 520, 599], RETRY),
        ([0, 99, 600, 999, -1], RETRY),
    ],
)
def test_a_status_decides_a_refused_handshake(statuses: list[int], verdict: Verdict) -> None:
    for status in statuses:
        assert classify(Closure(status=status)) is verdict, status


@pytest.mark.parametrize(
    "codes, verdict",
    [
        ([1000, 1001, 1002, 1005, 1006, 1007, 1009, 1011, 1012, 1013, 1014, 1015], RETRY),
        ([1003, 1008, 1010], ABORT),
        ([4000, 4400, 4999], RETRY),
        ([1004, 1016, 2999, 3000, 5000, 0, 408, 503, -1006], RETRY),
    ],
)
def test_a_code_decides_where_no_payload_is_known(codes: list[int], verdict: Verdict) -> None:
    for code in codes:
        assert classify(Closure(code=code, reason="as the server pleases", opened=True)) is verdict, code


@pytest.mark.parametrize("reason", ["NET-0001", "net-0001", "NET0001", "https://dpgr.am/net0001", NET_0001])
def test_a_payload_is_found_however_it_is_spelt(reason: str) -> None:
    assert payload_named(reason) == "NET-0001"
    assert entry_of(Closure(code=1011, reason=reason)).key == "NET-0001"


@pytest.mark.parametrize(
    "reason, name",
    [
        ("Deepgram did not provide a response message within the timeout window.", "NET-0000"),
        ("Deepgram did not receive audio data or a text message within the tim", "NET-0001"),
        ("no_audio_timeout", "NET-0002"),
        ("as the server pleases", ""),
    ],
)
def test_a_sentence_stands_for_its_payload_where_the_link_is_missing(reason: str, name: str) -> None:
    assert payload_named(reason) == name


@pytest.mark.parametrize("code", [1000, 1002, 1006, 1008, 1011, None])
def test_a_payload_outweighs_the_code_it_comes_with(code: int | None) -> None:
    assert classify(Closure(code=code, reason="NET-0000")) is RETRY
    assert classify(Closure(code=code, reason="NET-0002")) is RETRY
    assert classify(Closure(code=code, reason="DATA-0000")) is ABORT


def test_a_status_outweighs_a_payload() -> None:
    assert entry_of(Closure(status=503, reason="DATA-0000")).key == "503"


def test_a_payload_that_is_not_known_leaves_the_verdict_to_the_code() -> None:
    assert classify(Closure(code=1008, reason="NET-0003")) is ABORT
    assert classify(Closure(code=1011, reason="NET-0003")) is RETRY


def test_metadata_of_duration_0_after_a_second_of_audio_means_undecodable() -> None:
    deaf = Closure(code=1000, metadata=True, server_heard=0.0, sent=1.0, finishing=True)

    assert entry_of(deaf).key == "DATA-0000"
    assert entry_of(Closure(code=1006, server_heard=0.0, sent=30.0)).key == "DATA-0000"


@pytest.mark.parametrize("server_heard, sent", [(0.0, 0.99), (0.1, 1.0), (None, 60.0)])
def test_metadata_says_nothing_of_the_audio_otherwise(server_heard: float | None, sent: float) -> None:
    assert entry_of(Closure(code=1006, server_heard=server_heard, sent=sent)).key == "1006"


@pytest.mark.parametrize("code", [1000, 1005])
def test_a_polite_end_is_another_thing_when_it_was_asked_for(code: int) -> None:
    assert entry_of(Closure(code=code)).key == f"{code}"
    assert entry_of(Closure(code=code, finishing=True)).key == f"{code}-asked"
    assert entry_of(Closure(code=1011, finishing=True)).key == "1011"


def test_a_librarys_ping_timeout_is_not_taken_for_the_servers_error() -> None:
    assert entry_of(Closure(code=1011, reason="keepalive ping timeout")).key == "1011-ping"
    assert entry_of(Closure(code=1006, reason="keepalive ping timeout")).key == "1006"


@pytest.mark.parametrize(
    "reason, opened, key",
    [
        ("[Errno -2] Name or service not known", False, "dns"),
        ("[Errno -3] Temporary failure in name resolution", False, "dns"),
        ("[Errno 111] Connection refused", False, "refused"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", False, "tls"),
        ("[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] ssl/tls alert handshake failure", False, "tls"),
        ("proxy answered 407 to CONNECT", False, "proxy"),
        ("upgrade timed out", False, "upgrade"),
        ("hung up before the upgrade", False, "upgrade"),
        ("dial timed out", False, "dial"),
        ("", False, "dial"),
        ("no response to a ping", True, "ping"),
        ("no Results", True, "results"),
        ("results are 21 s behind", True, "results"),
        ("network does not take audio", True, "stalled"),
        ("the peer has stopped reading", True, "stalled"),
        ("CloseStream was not answered", True, "patience"),
        ("", True, "ended"),
    ],
)
def test_what_our_own_side_saw_is_told_by_its_words_and_always_retried(reason: str, opened: bool, key: str) -> None:
    closure = Closure(reason=reason, opened=opened)

    assert entry_of(closure).key == key
    assert classify(closure) is RETRY


def test_exit_codes_follow_the_cause() -> None:
    by_exit = {
        exit_code: [key for key, entry in TABLE.items() if entry.exit_code is exit_code]
        for exit_code in (Exit.BAD_AUDIO, Exit.DENIED, Exit.CONFIG)
    }

    assert by_exit == {
        Exit.BAD_AUDIO: ["DATA-0000"],
        Exit.DENIED: ["401", "402", "403"],
        Exit.CONFIG: ["3xx", "400", "404", "405"],
    }
    assert {entry.exit_code for entry in TABLE.values()} == {*by_exit, Exit.GAVE_UP}


def test_each_entry_is_whole() -> None:
    for key, entry in TABLE.items():
        assert entry.key == key
        assert entry.verdict in (RETRY, ABORT)
        assert entry.checks
        assert all((entry.title, entry.meaning, entry.action, *entry.checks))


def test_each_name_of_a_refusal_leads_to_statuses_that_are_in_the_table() -> None:
    for refusal in REFUSALS.values():
        assert all(status in TABLE for status in refusal.statuses)


@given(closures)
def test_any_closure_has_a_verdict_and_an_advice_fit_for_a_terminal(closure: Closure) -> None:
    assert classify(closure) is entry_of(closure).verdict
    assert classify(closure) in (RETRY, ABORT)
    line = advice(closure)
    assert line.isprintable()
    assert len(line) < 600


@given(closures, st.dictionaries(st.sampled_from(sorted(TABLE)), st.sampled_from(["retry", "abort"]), max_size=3))
def test_an_override_changes_its_own_entry_and_no_other(closure: Closure, overrides: dict[str, str]) -> None:
    entry = entry_of(closure)

    assert classify(closure, overrides).value == overrides.get(entry.key, entry.verdict.value)


@pytest.mark.parametrize(
    "overrides, closure, verdict",
    [
        ({"1008": "retry"}, Closure(code=1008), RETRY),
        ({"1008": "retry"}, Closure(code=1008, reason="DATA-0000"), ABORT),
        ({"DATA-0000": "retry"}, Closure(code=1008, reason="DATA-0000"), RETRY),
        ({"503": "abort"}, Closure(status=503), ABORT),
        ({"418": "retry"}, Closure(status=418), RETRY),
        ({"4xx": "retry"}, Closure(status=418), RETRY),
        ({"4xx": "retry"}, Closure(status=404), ABORT),
        ({"4400": "abort"}, Closure(code=4400), ABORT),
        ({"4400": "abort"}, Closure(code=4401), RETRY),
        ({"4xxx": "abort"}, Closure(code=4401), ABORT),
        ({"NET-0009": "abort"}, Closure(code=1011, reason="See https://dpgr.am/net0009"), ABORT),
        ({"1000": "abort"}, Closure(code=1000), ABORT),
        ({"1000": "abort"}, Closure(code=1000, finishing=True), RETRY),
        ({"tls": "abort"}, Closure(reason="certificate verify failed"), ABORT),
        ({"unknown": "abort"}, Closure(code=3000), ABORT),
        ({"1008": "nonsense"}, Closure(code=1008), ABORT),
    ],
)
def test_overrides(overrides: dict[str, str], closure: Closure, verdict: Verdict) -> None:
    assert classify(closure, overrides) is verdict


def test_overrides_that_pass() -> None:
    check_overrides({})
    check_overrides({key: "retry" for key, entry in TABLE.items() if entry.overridable})
    check_overrides({"418": "abort", "4400": "abort", "3000": "retry", "NET-0009": "abort"})


@pytest.mark.parametrize(
    "overrides, said",
    [
        ({"NET-001": "retry"}, 'did you mean "NET-0001"?'),
        ({"net-0001": "retry"}, 'did you mean "NET-0001"?'),
        ({"5XX": "retry"}, 'did you mean "5xx"?'),
        ({"rfused": "abort"}, 'did you mean "refused"?'),
        ({"": "retry"}, "no payload, close code or HTTP status"),
        ({"qqqq": "retry"}, "`explain` prints all"),
        ({"99": "retry"}, "no payload"),
        ({"5000": "retry"}, "no payload"),
        ({"0600": "retry"}, "no payload"),
        ({"١٠٠٨": "retry"}, "no payload"),
        ({"NET-٠٠٠٩": "retry"}, "no payload"),
        ({"a\x1b[31m": "retry"}, '"a [31m"'),
        ({"1008": "Retry"}, '"retry" or "abort"'),
        ({"1008": "complete"}, '"retry" or "abort"'),
        ({"1008": True}, '"retry" or "abort"'),
        ({"1008": ["retry"]}, '"retry" or "abort"'),
        ({"1000-asked": "abort"}, "cannot be set"),
    ],
)
def test_overrides_that_are_refused(overrides: dict[str, object], said: str) -> None:
    with pytest.raises(Problem) as caught:
        check_overrides(overrides)

    assert caught.value.exit_code is Exit.CONFIG
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_advice_names_the_entry_and_the_first_thing_to_check() -> None:
    assert advice(Closure(code=1006)) == f"1006, {TABLE['1006'].title}. {TABLE['1006'].checks[0]}"


def test_advice_repeats_the_servers_words_and_knows_what_to_do_about_them() -> None:
    closure = Closure(
        status=400,
        err_code="INVALID_QUERY_PARAMETER",
        err_msg="Keywords are not supported for Nova-3. Please use `keyterm` instead.",
    )

    line = advice(closure)

    assert "INVALID_QUERY_PARAMETER: Keywords are not supported for Nova-3." in line
    assert line.endswith("Use keyterm in place of keywords, or a nova-2 model.")


def test_advice_reads_the_header_where_there_is_no_body() -> None:
    assert "(No such model/version combination found.)" in advice(
        Closure(status=400, dg_error="No such model/version combination found.")
    )


def test_advice_says_where_a_redirect_leads_without_its_secrets() -> None:
    line = advice(Closure(status=301, location="https://me:word@elsewhere/v1/listen?token=abc"))

    assert "(to https://***@elsewhere/v1/listen?token=***)" in line
