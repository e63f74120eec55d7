"""What a fleet has to say: a change that somebody should know of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Notice:
    """`event` is what the log calls it."""

    event: Literal[
        "breaker_opened", "breaker_closed", "governor_limited", "governor_lifted", "key_refused", "key_free", "server_asked_for_rest"
    ]
    level: Literal["info", "warning", "error"]
    details: Mapping[str, object] = field(default_factory=dict)
