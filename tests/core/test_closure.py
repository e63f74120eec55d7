"""The name of a payload is found wherever the server puts it, and nowhere else."""

from __future__ import annotations

from dataclasses import fields

import pytest

from supervisor.core.closure import Closure, payload_of


@pytest.mark.parametrize(
    "reason, name",
    [
        ("NET-0001", "NET-0001"),
        ("net0001", "NET-0001"),
        ("DATA-0000", "DATA-0000"),
        ("Deepgram did not receive audio data. See https://dpgr.am/net0001", "NET-0001"),
        ("did not provide a response message within the timeout window. See https://dpgr.am/net0000.", "NET-0000"),
        ("NET-0002 after NET-0001", "NET-0002"),
        ("NET-0042", "NET-0042"),  # not known yet, and named all the same
        ("", ""),
        ("NET-001", ""),
        ("NET-00012", ""),
        ("PLANET-0001", ""),
        ("internet0001", ""),
        ("keepalive ping timeout", ""),
    ],
)
def test_a_payload_is_named_or_nothing(reason: str, name: str) -> None:
    assert name == payload_of(reason)


def test_a_closure_of_which_nothing_is_known_claims_nothing() -> None:
    """What was not seen must not read as a fact: no code, no status, no progress."""
    nothing = Closure()

    assert {None, "", 0.0} == {getattr(nothing, each.name) for each in fields(nothing)}


@pytest.mark.parametrize(
    "server_heard, sent, undecoded",
    [(None, 60.0, False), (0.0, 0.99, False), (0.0, 1.0, True), (-1.0, 1.0, True), (0.01, 60.0, False)],
)
def test_a_server_that_had_no_audio_of_a_second_could_not_decode_it(server_heard, sent, undecoded):
    assert undecoded == Closure(server_heard=server_heard, sent=sent).undecoded
