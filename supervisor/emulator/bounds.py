"""What numbers in a plan may be: a negative or endless one would hang the server that obeys it, or break it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

LONGEST = 366 * 86400.0  # seconds, and more of anything than anybody wants


def check(settings: Any, *, endless: Iterable[str] = (), positive: Iterable[str] = ()) -> None:
    """Every number of a dataclass is from 0 to a year; of some names it may be endless, or must be more than 0.

    Raises ValueError, which names the first that is not.
    """
    for field in fields(settings):
        name = field.name
        for number in _numbers(getattr(settings, name)):
            if math.isnan(number) or number < 0:
                raise ValueError(f"`{name}` cannot be negative" if number < 0 else f"`{name}` cannot be nan")
            if number > LONGEST and not (math.isinf(number) and name in endless):
                raise ValueError(f"`{name}` cannot be more than {LONGEST:.0f}")
            if number == 0 and name in positive:
                raise ValueError(f"`{name}` must be more than 0")


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, tuple):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value
