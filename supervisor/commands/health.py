"""`health`: whether the daemon does its work. For people, and for a container's health check, which runs it for months."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping

from ..admin.asking import ask, path_of, unexpected
from ..admin.protocol import AskHealth, HealthIs
from ..control import Health
from ..core.plain import plain
from ..core.problem import Problem
from ..printing import put, say

PATIENCE = 2.0  # seconds
UNHEALTHY = 1  # the one code that a container's health check knows


def run(args: Namespace, environ: Mapping[str, str]) -> int:
    """Print it. 0: it does its work, even if it takes no new calls; 1: it does not, or nobody could be asked."""
    try:
        health = _asked(path_of(args, environ))
    except Problem as problem:
        say(f"stream-supervisor: {problem}")
        return UNHEALTHY
    put("\n".join(_lines(health)))
    return 0 if health.ok else UNHEALTHY


def _asked(path: str) -> Health:
    answer = ask(path, AskHealth(), patience=PATIENCE)
    if not isinstance(answer, HealthIs):
        raise unexpected(path)
    return answer.health


def _lines(health: Health) -> Iterator[str]:
    state = "not ok" if not health.ok else "ok" if health.ready else "ok, but it takes no new calls"
    calls = f"{health.calls} call{'' if health.calls == 1 else 's'}"
    yield f"{state}: {calls}, up {health.uptime:.0f} s, at most {health.loop_lag * 1000:.0f} ms late, version {plain(health.version)}"
    yield from (plain(reason) for reason in health.reasons)
    yield from (f"note: {plain(note)}" for note in health.notes)
