"""A daemon with nothing behind it, and ways to ask it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar, cast

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from supervisor.admin.serving import serve
from supervisor.control import CallView, Health

DEADLINE = 20.0  # seconds of real time, of which a healthy test needs a hundredth
CANARY = "+15550123456"
T = TypeVar("T")


def view(call_id: str, **more: object) -> CallView:
    given = {
        "intake": "pbx", "source": "audiosocket 127.0.0.1", "state": "streaming", "paused": False, "age": 65.0, "heard": 64.0,
        "acknowledged": 63.0, "behind": 1.0, "lost": 0.0, "withheld": 0.0, "sessions": 1, "request_id": "r-1", "held_bytes": 2048,
        "metadata": {"caller": CANARY},
    }  # fmt: skip
    return CallView(call_id=call_id, **{**given, **more})  # type: ignore[arg-type]


@dataclass
class FakeControl:
    """Keeps what was asked of it."""

    views: list[CallView] = field(default_factory=list)
    did: list[tuple[object, ...]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    reloading: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    listed: int = 0
    state: Health = field(
        default_factory=lambda: Health(ok=True, ready=True, reasons=[], calls=2, version="1.2.3", uptime=9.0, loop_lag=0.002)
    )
    on_drain: Callable[[], None] = lambda: None
    broken: bool = False

    def calls(self) -> Sequence[CallView]:
        self.listed += 1
        return self.views

    def _one(self, what: str, call_id: str) -> bool:
        if self.broken:
            raise ZeroDivisionError("a bug")
        self.did.append((what, call_id))
        return any(each.call_id == call_id for each in self.views)

    def end(self, call_id: str) -> bool:
        return self._one("end", call_id)

    def pause(self, call_id: str) -> bool:
        return self._one("pause", call_id)

    def resume(self, call_id: str) -> bool:
        return self._one("resume", call_id)

    def drain(self, *, now: bool = False) -> None:
        self.did.append(("drain", now))
        self.on_drain()

    async def reload(self) -> list[str]:
        await self.reloading()
        self.did.append(("reload",))
        return self.faults

    def health(self) -> Health:
        if self.broken:
            raise ZeroDivisionError("a bug")
        return self.state


class Logged:
    """A logger, and what was logged with it."""

    def __init__(self) -> None:
        self._capture = structlog.testing.LogCapture()
        wrapper = structlog.make_filtering_bound_logger(0)
        self.log = cast(
            "FilteringBoundLogger",
            structlog.wrap_logger(None, processors=[self._capture], wrapper_class=wrapper, context_class=dict).bind(),
        )

    @property
    def events(self) -> list[dict[str, object]]:
        return [dict(each) for each in self._capture.entries]

    def named(self, name: str) -> list[dict[str, object]]:
        return [each for each in self.events if each["event"] == name]


def while_serving(path: Path, control: FakeControl, work: Callable[[], T], logged: Logged | None = None) -> T:
    """What the work returns, which may block, or raises: a real daemon's socket is at the path meanwhile."""
    done: list[Callable[[], T]] = []

    def attempt() -> None:
        try:
            result = work()
        except BaseException as error:  # past the nurseries, which would wrap it
            done.append(partial(_raise, error))
        else:
            done.append(lambda: result)

    async def main() -> None:
        with trio.fail_after(DEADLINE):
            async with trio.open_nursery() as nursery:
                await nursery.start(serve, str(path), control, (logged or Logged()).log)
                await trio.to_thread.run_sync(attempt, abandon_on_cancel=True)
                nursery.cancel_scope.cancel()

    trio.run(main)
    return done[0]()


def _raise(error: BaseException) -> NoReturn:
    raise error
