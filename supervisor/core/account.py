"""Where a call's audio has gone so far, in seconds: what its end will be told of, while it still runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Account:
    """Every figure only grows; `lost` is by reason."""

    heard: float = 0.0
    acknowledged: float = 0.0
    withheld: float = 0.0
    replayed: float = 0.0
    injected: float = 0.0
    lost: Mapping[str, float] = field(default_factory=dict)

    @property
    def behind(self) -> float:
        """Heard, and not yet anything else."""
        return max(0.0, self.heard - self.acknowledged - self.withheld - sum(self.lost.values()))
