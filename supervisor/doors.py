"""The intakes of a daemon: opened together or not at all, changed while they run, and closed when no more calls are wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio
from structlog.typing import FilteringBoundLogger

from .config import IntakeConfig
from .core.problem import Problem
from .daemon import Daemon, Desk
from .intakes import Intake, Rejection

Make = Callable[[IntakeConfig, Desk], Intake]


@dataclass
class Door:
    """One intake, open."""

    config: IntakeConfig
    desk: Desk
    intake: Intake
    address: str  # it listens at, or the directory that it watches


class Doors:
    """Each runs in the nursery given, until it is closed and its last connection has gone."""

    def __init__(
        self,
        daemon: Daemon,
        nursery: trio.Nursery,
        make: Make,
        count: Callable[[str, Rejection], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._daemon = daemon
        self._nursery = nursery
        self._make = make
        self._count = count
        self._log = log
        self._open: dict[str, Door] = {}  # by the intake's name
        self._closed = False

    async def change(self, wanted: Sequence[IntakeConfig]) -> bool:
        """Have these, and no others; False if all were closed meanwhile, and so are these.

        Raises Problem, with everything as it was, where one cannot be opened.
        """
        kept = [config for config in wanted if config.name in self._open and _stays(self._open[config.name].config, config)]
        added: list[Door] = []
        try:
            for config in wanted:
                if config not in kept:
                    added.append(await self._opened(config))  # noqa: PERF401  # those before it are closed if this fails
        except BaseException:
            for door in added:
                door.intake.close()
            raise
        if self._closed:
            for door in added:
                door.intake.close()
            return False
        names = {config.name for config in kept}
        for door in [door for name, door in self._open.items() if name not in names]:
            self._close(door)
        for config in kept:
            door = self._open[config.name]
            door.config = door.desk.intake = door.intake.config = config
        for door in added:
            self._open[door.config.name] = door
            self._log.info("intake_open", intake=door.config.name, kind=door.config.kind, address=door.address)
        return True

    async def _opened(self, config: IntakeConfig) -> Door:
        desk = Desk(self._daemon, config, self._count)
        intake = self._make(config, desk)
        try:
            address = await self._nursery.start(intake.run, name=f"intake {config.name}")
        except BaseExceptionGroup as group:  # out of a nursery of its own
            problems = [each for each in group.exceptions if isinstance(each, Problem)]
            raise problems[0] if problems else group from None
        return Door(config, desk, intake, address)

    def _close(self, door: Door) -> None:
        door.intake.close()
        del self._open[door.config.name]
        self._log.info("intake_closed", intake=door.config.name)

    def close(self) -> None:
        """Let nobody in any more, whoever is still being opened included."""
        self._closed = True
        for door in list(self._open.values()):
            self._close(door)

    def __len__(self) -> int:
        return len(self._open)


def _stays(before: IntakeConfig, after: IntakeConfig) -> bool:
    """Whether it is the same door: what else has changed is for the next who comes."""
    return (before.kind, before.listen, before.directory) == (after.kind, after.listen, after.directory)
