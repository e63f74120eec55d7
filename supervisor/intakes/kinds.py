"""The kinds of intakes there are. Another one is a file beside this one and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from structlog.typing import FilteringBoundLogger

from ..config import IntakeConfig
from . import Intake, Reception
from .audiosocket import AudioSocketIntake
from .tcp import TcpIntake

Make = Callable[[IntakeConfig, Reception, FilteringBoundLogger], Intake]

KINDS: Mapping[str, Make] = {
    "audiosocket": lambda config, reception, log: AudioSocketIntake(config, reception, log=log),
    "tcp": lambda config, reception, log: TcpIntake(config, reception, log=log),
}


def intake_from(config: IntakeConfig, reception: Reception, log: FilteringBoundLogger) -> Intake:
    """What the config asks for."""
    return KINDS[config.kind](config, reception, log)
