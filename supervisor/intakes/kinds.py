"""The kinds of intakes there are. Another one is a file beside this one and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from structlog.typing import FilteringBoundLogger

from ..config import IntakeConfig
from . import Intake, Reception
from .audiosocket import AudioSocketIntake
from .directory import DirectoryIntake, LinesOf
from .tcp import TcpIntake

Make = Callable[[IntakeConfig, Reception, FilteringBoundLogger, LinesOf | None], Intake]

KINDS: Mapping[str, Make] = {
    "audiosocket": lambda config, reception, log, _: AudioSocketIntake(config, reception, log=log),
    "tcp": lambda config, reception, log, _: TcpIntake(config, reception, log=log),
    "directory": lambda config, reception, log, lines: _directory(config, reception, log, lines),
}


def _directory(
    config: IntakeConfig, reception: Reception, log: FilteringBoundLogger, lines: LinesOf | None
) -> DirectoryIntake:
    assert lines is not None
    return DirectoryIntake(config, reception, log=log, lines=lines)


def intake_from(
    config: IntakeConfig, reception: Reception, log: FilteringBoundLogger, lines: LinesOf | None = None
) -> Intake:
    """What the config asks for. `lines` makes what writes transcripts: a directory needs it, the others do not."""
    return KINDS[config.kind](config, reception, log, lines)
