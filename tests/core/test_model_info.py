"""The model that a server names."""

from __future__ import annotations

import pytest

from supervisor.core.model_info import model_named


@pytest.mark.parametrize(
    "message, model",
    [
        ('{"type":"Results","metadata":{"request_id":"r","model_info":{"name":"nova-3","version":"1","arch":"x"}}}', "nova-3 1"),
        (b'{"type":"Metadata","models":["a"],"model_info":{"a":{},"b":{"name":"nova-2","version":"7"}}}', "nova-2 7"),
        ('{"type":"Metadata"}', ""),
        ('{"type":"Results","metadata":{"model_info":"nova"}}', ""),
        ('{"type":"Results","metadata":{"model_info":{"name":"no\\u001b[2J"}}}', "no [2J"),
        ("[]", ""),
        (b"\xff", ""),
        ("[" * 100_000, ""),
    ],
)
def test_it_is_found_in_results_and_in_metadata_and_nothing_a_server_says_is_an_error(message, model):
    assert model_named(message) == model
