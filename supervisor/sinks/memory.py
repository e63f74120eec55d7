"""A sink that keeps its events, for simulated runs: no file, no thread."""

from __future__ import annotations

import trio

from supervisor.events import Event


class MemorySink:
    name = "memory"

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._closed = trio.Event()

    def offer(self, event: Event) -> None:
        self.events.append(event)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await self._closed.wait()

    def close(self) -> None:
        self._closed.set()

    @property
    def backlog(self) -> int:
        return 0

    def undelivered(self) -> list[Event]:
        return []
