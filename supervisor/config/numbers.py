"""What numbers a config takes, and how sizes are written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .table import Unwanted

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
SMALLEST_TOTAL = 2**20
LARGEST_TOTAL = 2**60  # an exbibyte

# The least and the most of each number that does not take all above 0; the reason where it is not plain.
RANGES: Mapping[str, tuple[float, float | None, str]] = {
    "limits.max_calls": (1, 100_000, ""),
    "limits.drain_timeout": (0, None, ""),
    "call.sample_rate": (1000, 384_000, "in Hz"),
    "call.channels": (1, 64, ""),
    "intake.sample_rate": (1000, 384_000, "in Hz"),
    "intake.channels": (1, 64, ""),
    "buffer.seconds": (5, None, ""),
    "buffer.margin": (0, 30, ""),
    "session.frame": (0.02, 0.25, "Deepgram advises these"),
    "session.keepalive": (1, 9, "the server closes after 10"),
    "session.finalize_after": (0, None, "0 = never"),
    "session.connect_timeout": (0.1, 300, ""),
    "session.send_timeout": (0.1, 300, ""),
    "session.ping": (0.1, 300, ""),
    "session.pong": (0.1, 300, ""),
    "session.results_timeout": (1, None, ""),
    "session.results_lag": (1, None, ""),
    "session.finals_lag": (1, None, ""),
    "session.patience": (0.1, 300, ""),
    "retry.first": (0, 60, ""),
    "retry.initial": (0.01, 3600, ""),
    "retry.longest": (0.01, 3600, ""),
    "retry.retry_after_longest": (0, 3600, ""),
    "retry.give_up_after": (1, None, ""),
    "fleet.dials": (1, 10_000, ""),
    "fleet.rate": (0.1, 10_000, "a second"),
    "fleet.burst": (1, 10_000, ""),
    "fleet.failures": (1, 1000, ""),
    "fleet.probe": (0.1, 300, ""),
    "fleet.raise_every": (1, 3600, ""),
    "fleet.linger": (0, 3600, ""),
}


def out_of_range(table: str, values: object) -> Iterator[tuple[str, float, str]]:
    """The keys whose numbers are not accepted: key, what was found, what is wanted."""
    for name, (least, most, reason) in RANGES.items():
        of, _, key = name.partition(".")
        value = getattr(values, key, None) if of == table else None
        if value is not None and not (least <= value and (most is None or value <= most)):
            bounds = f"{least:g} or more" if most is None else f"{least:g} to {most:g}"
            yield key, value, bounds + (f" ({reason})" if reason else "")


def size(value: object) -> int:
    """Bytes: a number of them, or a text with a unit.

    >>> size("1.5 GiB"), size("500 MB"), size(1048576)
    (1610612736, 500000000, 1048576)
    """
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]*)", value.strip()) if isinstance(value, str) else None
    if found and found[2].lower() in UNITS:
        value = round(float(found[1]) * UNITS[found[2].lower()])
    if isinstance(value, int) and not isinstance(value, bool) and (value == 0 or SMALLEST_TOTAL <= value <= LARGEST_TOTAL):
        return value
    raise Unwanted('bytes, such as "1 GiB" (at least 1 MiB), or 0 for half of the memory there is')
