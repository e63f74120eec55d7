"""Who called is not in a log; which call it was, when, and how much, is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.masking import masked, masked_field, names_a_number

UUID = "40325ec2-5efd-4bd3-805f-553576581013"  # its last part could be a number


@pytest.mark.parametrize(
    "text, expected",
    [
        ("+15551234567", "+1555***4567"),
        ("tel:+15551234567;phone-context=x", "tel:+1555***4567;phone-context=x"),
        ("sip:+15551234567@10.0.0.1:5060", "sip:+1555***4567@10.0.0.1:5060"),
        ("sip%3A%2B15551234567", "sip%3A+1555***4567"),
        ("+1-800-555-6789", "+1800***6789"),
        ("+1 (555) 123-4567", "+1555***4567"),
        ("+44 20 7946 0018", "+4420***0018"),
        ("+49/171/1234567", "+4917***4567"),
        ("(555) 123-4567", "555***4567"),
        ("555.123.4567", "555***4567"),
        ("1-800-555-6789", "1800***6789"),
        ("00442079460018", "0044***0018"),
        ("017112345", "01***2345"),
        ("call_15551234567_1", "call_1555***4567_1"),
        ("PJSIP/15551234567-0000001a", "PJSIP/1555***4567-0000001a"),
        ("calls/15551234567.jsonl", "calls/1555***4567.jsonl"),
        ("from 15551234567, to 15557654321.", "from 1555***4567, to 1555***4321."),
        ("+1 5551234567 15557654321", "+1555***4321"),
        ("+15551234567 2026-11-25", "+1555***4567 2026-11-25"),
    ],
)
def test_a_number_is_masked_wherever_it_stands(text, expected):
    assert masked(text) == expected
    assert masked(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        UUID,
        f"call {UUID}_2",
        "2026-11-25T07:05:40.123456789Z",
        "2026-11-25 07:05:40+0000",
        "20261125070540",  # a stamp
        "1795343335",  # seconds since 1970
        "1795343335123",
        "1795343335.30",  # an Asterisk's name for a channel
        "0.3333333333333333",
        "3600.123456789012",
        "it needs 123456789 bytes",
        "after 480000000 frames",
        "in 123456789012 ns",
        "192.168.100.200:50600",
        "10.0.0.1 10.0.0.2",
        "0x123456789",
        "sha 9f86d081884c7d659a2feaa0c55ad015",
        "12345678901234567890",  # longer than any number
        "order 12345678",  # shorter than is looked for
        "in 1 500 000 steps",
        "+1500 samples",
        "+12 34 5",
        "+02:00",
    ],
)
def test_what_only_looks_like_one_is_left_alone(text):
    assert masked(text) == text


@pytest.mark.parametrize(
    "text, expected",
    [
        ("+15551234567", "+1555***4567"),
        ("(555) 123-4567", "555***4567"),
        ("1795343335", "179***3335"),  # the field says that it is no time
        ("7946 0018", "7***0018"),
        ("5551234", "***1234"),
        ("1234", "***"),
        ("sip:12345@pbx:5060", "sip:***@pbx:5060"),
        ("Alice <sip:1234@[::1]:5060>", "Alice <sip:***@[::1]:5060>"),
        ("15551234567-0000001a", "1555***4567-***0001a"),
        ("123456789012345678", "1234***5678"),
        (UUID, UUID),
        ("2026-11-25T07:05:40Z", "2026-11-25T07:05:40Z"),
        ("10.0.0.1:50600", "10.0.0.1:50600"),
        ("https://hooks.example.org:8443/2026/1234", "https://hooks.example.org:8443/2026/1234"),
        ("https://hooks.example.org/15551234567", "https://hooks.example.org/1555***4567"),
        ("anonymous", "anonymous"),
        ("123", "123"),
    ],
)
def test_in_a_field_that_is_named_for_one_a_short_number_is_one_too(text, expected):
    assert masked_field(text) == expected


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True), st.sampled_from(["{}", "x {} y", "sip:{}@h", "({})", "a={},b", "{}."]))
def test_it_is_the_same_mask_however_it_is_written(number, frame):
    digits = number[1:]
    spaced = f"+{digits[0]} {digits[1:4]}-{digits[4:]}"
    mask = masked(number)

    assert masked(frame.format(number)) == frame.format(mask)
    assert {masked(spaced), masked(number.replace("+", "%2B")), masked_field(number), masked_field(spaced)} == {mask}
    hidden = re.fullmatch(r"\+([0-9]{0,4})\*\*\*([0-9]{4})", mask)
    assert hidden
    assert digits.startswith(hidden[1])
    assert digits.endswith(hidden[2])
    assert len(digits) - len(hidden[1] + hidden[2]) >= 3


@given(st.text(st.sampled_from("0123456789+-.() /:%2Bax_")))
def test_among_anything_no_number_is_left(text):
    for mask in (masked, masked_field):
        assert not re.search(r"(?<![0-9]\.)(?<![0-9A-Za-z.])[2-9][0-9]{8,14}(?![0-9A-Za-z]| ?B)", mask(text))


@pytest.mark.parametrize("field", ["caller", "Caller-Number", "callerId", "CALLER_ID", "from", "to", "ani", "x_dnis", "msisdn", "toPhone"])
def test_a_field_that_is_named_for_one(field):
    assert names_a_number(field)


@pytest.mark.parametrize("field", ["call_id", "replay_from", "sent_to", "session", "peer", "numbered", "recalled", "intake", "direction"])
def test_a_field_that_is_not(field):
    assert not names_a_number(field)
