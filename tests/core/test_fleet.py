"""When a server asks one call to stay away, all calls of the process do."""

from __future__ import annotations

import pytest

from supervisor.core.closure import Closure
from supervisor.core.fleet import OpenFleet, Party


@pytest.mark.parametrize(
    "reports, now, wait",
    [
        ([], 5.0, 0.0),
        ([(0.0, Closure(status=429, retry_after=7.0))], 5.0, 2.0),
        ([(0.0, Closure(status=429, retry_after=7.0))], 7.0, 0.0),
        ([(0.0, Closure(status=503))], 0.0, 0.0),  # it names no time: each call's own backoff decides
        ([(0.0, Closure(status=503, retry_after=3600.0))], 1.0, 59.0),  # nobody is locked out by one answer
        ([(0.0, Closure(code=1011))], 0.0, 0.0),
        ([(0.0, Closure(status=503, retry_after=9.0)), (1.0, Closure(status=503, retry_after=2.0))], 1.0, 8.0),
        ([(0.0, Closure(status=503, retry_after=2.0)), (1.0, Closure(status=503, retry_after=9.0))], 1.0, 9.0),
    ],
)
def test_how_long_to_stay_away(reports, now, wait):
    fleet = OpenFleet()
    for at, closure in reports:
        fleet.report("one", closure, at)

    assert wait == fleet.lease("another", Party(), now, running=False)


def test_it_remembers_nothing_else():
    fleet = OpenFleet()
    fleet.opened("one", 0.0)
    fleet.leave("one", 0.0)
    fleet.restart(0.0)

    assert fleet.epoch == 0
    assert vars(fleet) == vars(OpenFleet())
