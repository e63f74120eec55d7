"""Calls as a person reads them. What came from elsewhere, names and metadata, is made fit for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from ..control import CallView
from ..terminal import columns, cut, shown

WIDEST = 64  # characters of a cell
HEAD = ("CALL", "STATE", "AGE", "HEARD", "BEHIND", "LOST", "SESSIONS", "INTAKE")
LEFT = {"CALL", "STATE", "INTAKE"}


def clock(seconds: float) -> str:
    """
    >>> clock(59.9), clock(3661)
    ('0:59', '1:01:01')
    """
    minutes, second = divmod(int(max(0.0, seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def count(number: int, what: str) -> str:
    """
    >>> count(1, "call"), count(0, "call")
    ('1 call', '0 calls')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def seconds(value: float) -> str:
    return f"{value:.1f} s"


def table(calls: Sequence[CallView]) -> list[str]:
    """A line for each, under a head."""
    rows = [HEAD, *(_row(call) for call in calls)]
    widths = [max(_width(row[at]) for row in rows) for at in range(len(HEAD))]
    return [
        "  ".join(
            _padded(cell, width, head in LEFT) for head, cell, width in zip(HEAD, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def summary(calls: Sequence[CallView]) -> str:
    """All of them in one line."""
    paused = sum(call.paused for call in calls)
    parts = [count(len(calls), "call"), *([f"{paused} paused"] if paused else [])]
    if calls:
        parts.append(f"at most {seconds(max(call.behind for call in calls))} behind")
        parts.append(f"{seconds(sum(call.lost for call in calls))} lost")
    return ", ".join(parts)


def details(call: CallView) -> list[str]:
    """Everything that is known of one, a line for each thing."""
    things = {
        "call": shown(call.call_id),
        "intake": shown(call.intake),
        "source": shown(call.source),
        "state": _state(call),
        "age": clock(call.age),
        "heard": seconds(call.heard),
        "acknowledged": seconds(call.acknowledged),
        "behind": seconds(call.behind),
        "lost": seconds(call.lost),
        "withheld": seconds(call.withheld),
        "sessions": str(call.sessions),
        "request id": shown(call.request_id) or "none yet",
        "last closure": shown(call.last_closure) or "none",
        "held": f"{call.held_bytes / 1024:.0f} KiB of audio",
    }
    lines = [f"{name + ':':14}{value}" for name, value in things.items()]
    return lines + [f"metadata: {shown(name)} = {shown(value)}" for name, value in sorted(call.metadata.items())]


def _row(call: CallView) -> tuple[str, ...]:
    return (
        cut(shown(call.call_id), WIDEST),
        _state(call),
        clock(call.age),
        clock(call.heard),
        seconds(call.behind),
        seconds(call.lost),
        str(call.sessions),
        cut(shown(call.intake), WIDEST),
    )


def _state(call: CallView) -> str:
    return f"{shown(call.state)}, paused" if call.paused else shown(call.state)


def _width(text: str) -> int:
    return columns(text)[-1] if text else 0


def _padded(text: str, width: int, left: bool) -> str:
    space = " " * (width - _width(text))
    return text + space if left else space + text
