"""What signals mean: each one asks for an end that waits for less than the one before."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType

import trio

Stage = Callable[[], None]
Signals = Callable[[], AbstractContextManager[AsyncIterator[int]]]


def of_this_process() -> AbstractContextManager[AsyncIterator[int]]:
    """SIGTERM, SIGINT and SIGHUP, as they come."""
    return trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def on_signals(
    stages: Sequence[Stage],
    *,
    at_least: Mapping[int, int],
    apart: Mapping[int, Stage] = MappingProxyType({}),
    signals: Signals = of_this_process,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Go through the stages, one for each signal, for as long as this runs.

    `at_least` is for signals that mean more than one step: the number of the stage that they lead to at once. `apart`
    is for those that have nothing to do with ending.
    """
    stage = -1
    with signals() as came:
        task_status.started()
        async for number in came:
            if number in apart:
                apart[number]()
                continue
            stage = min(max(stage + 1, at_least.get(number, 0)), len(stages) - 1)
            stages[stage]()
