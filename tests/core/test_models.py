"""Which models a server names."""

from __future__ import annotations

import pytest

from supervisor.core.models import models_of


@pytest.mark.parametrize(
    "metadata, models",
    [
        ('{"model_info": {"a": {"name": "general", "version": "1"}, "b": {"name": "phonecall"}}}', ("general 1", "phonecall")),
        ('{"model_info": {"a": {"version": "1"}}}', ()),
        ('{"model_info": {}}', ()),
        ('{"type": "Metadata"}', ()),
        ('{"model_info": [1]}', ()),
        ('{"model_info": {"a": null}}', ()),
        ("[]", ()),
        (b"\xff", ()),
        ("[" * 100_000, ()),
    ],
)
def test_whatever_a_server_says_of_its_models_ends_nothing(metadata, models):
    assert models_of(metadata) == models
