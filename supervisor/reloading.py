"""A config taken up anew while calls run: all of it or nothing, and no call that runs is touched.

New calls are made from the new config. Calls that run keep theirs, but for the key, which they read for each session:
if the server is the same, their next session has the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from weakref import WeakSet

import trio
from structlog.typing import FilteringBoundLogger

from .config import Config, WrongConfig
from .config.room import total_bytes
from .core.problem import Problem
from .daemon import Daemon, Generation
from .doors import Doors
from .service import Deepgram

FIXED: Mapping[str, Callable[[Config], object]] = {  # what is made once, at the start
    "[[sink]]": lambda config: config.sinks,
    "[admin]": lambda config: config.admin,
    "[metrics]": lambda config: config.metrics,
    "[fleet]": lambda config: config.settings.fleet,
    "[retry] retry_after_longest": lambda config: config.settings.retry.retry_after_longest,
}
class Reloading:
    """Call it; it returns what is wrong with the config, one line each, and nothing once it is in force."""

    def __init__(
        self,
        daemon: Daemon,
        doors: Doors,
        *,
        load: Callable[[], Config],  # raises Problem
        connect: Callable[[Config], Deepgram],  # likewise
        begin: Callable[[Config], object],  # start the calls that are newly listed
        told: Callable[[bool], None],  # whether it worked
        log: FilteringBoundLogger,
    ) -> None:
        self._daemon = daemon
        self._doors = doors
        self._load = load
        self._connect = connect
        self._begin = begin
        self._told = told
        self._log = log
        self._turn = trio.Lock()
        self._served = WeakSet([daemon.now.deepgram])  # those that calls still dial with, and this one

    async def __call__(self) -> list[str]:
        async with self._turn:
            try:
                await self._take_up()
            except Problem as problem:
                lines = [str(each) for each in (problem.problems if isinstance(problem, WrongConfig) else [problem])]
                self._log.error("reload_failed", problems=lines, hint="everything is as it was")
                self._told(False)
                return lines
            except Exception:
                lines = ["the reload broke off, which is a bug of ours: the log has it"]
                self._log.exception("reload_failed", problems=lines, hint="calls go on; restart when it suits")
                self._told(False)
                return lines
            self._told(True)
            return []

    async def _take_up(self) -> None:
        daemon = self._daemon
        if daemon.draining:
            raise _draining()
        before, config = daemon.now.config, self._load()
        for name, part in FIXED.items():
            if part(before) != part(config):
                raise Problem(f"{name} has changed", "that takes a restart; everything is as it was")
        deepgram = self._connect(config)
        for warning in deepgram.check():
            self._log.warning("key_exposed", problem=warning)
        if not await self._doors.change(config.intakes):
            raise _draining()
        # From here on nothing can fail.
        daemon.now = Generation(config, deepgram)
        daemon.world.pool.limit = total_bytes(config.settings.buffer)
        for each in self._served:
            deepgram.succeeds(each)
        self._served.add(deepgram)
        daemon.world.fleet.restart(trio.current_time())
        self._begin(config)
        self._log.info(
            "reloaded", calls_listed=len(config.calls), intakes=len(config.intakes), calls_that_keep_theirs=len(daemon.these.calls)
        )


def _draining() -> Problem:
    return Problem("this daemon is draining", "start it anew")
