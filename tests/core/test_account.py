"""What is behind is what nothing has become of yet; and a meter that measures nothing takes whatever is measured."""

from __future__ import annotations

from supervisor.core.account import Account
from supervisor.core.meter import Meter, NoMeter


def test_behind_is_what_is_neither_acknowledged_nor_withheld_nor_lost() -> None:
    assert Account().behind == 0
    assert Account(heard=10.0, acknowledged=4.0, withheld=1.0, lost={"overflow": 2.0, "server_skipped": 1.0}).behind == 2.0


def test_it_is_never_less_than_nothing() -> None:
    """Figures that were rounded each by itself may add up to a little more than the whole."""
    assert Account(heard=0.3, acknowledged=0.1 + 0.2).behind == 0


def test_no_meter_is_a_meter_that_keeps_nothing() -> None:
    meter: Meter = NoMeter()
    meter.dialled(1.0, "101")
    meter.result(0.1)
    meter.recovered(2.0)

    assert not hasattr(meter, "__dict__") or vars(meter) == {}
