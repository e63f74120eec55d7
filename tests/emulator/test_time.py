"""What the clock decides: when a connection is idle, and when audio that came too fast is told."""

import pytest

from supervisor.emulator.habits import Habits
from supervisor.emulator.saying import End

from .client import end_of
from .listener import NET_0000, NET_0001, Listener, spoken


def test_twelve_seconds_without_a_message_are_net_0001():
    heard = Listener().speak(1.5).wait(30)

    assert [(13.4, End(1011, NET_0001))] == heard.ends


def test_twelve_seconds_from_the_opening_too():
    assert [(12.0, End(1011, NET_0001))] == Listener().wait(30).ends


def test_text_holds_a_connection_that_has_been_told_something():
    heard = Listener().speak(1.5).wait(1)
    for _ in range(20):
        heard.control("KeepAlive").wait(11)

    assert heard.ends == []


def test_text_alone_does_not_hold_one_that_has_not():
    """Without any audio it is NET-0002, with too little of it NET-0000; its own words are known of the second only."""
    none, little = Listener(), Listener().speak(0.5)
    for each in (none, little):
        for _ in range(10):
            each.control("KeepAlive").wait(4)

    assert [(20.0, End(1011, NET_0000))] == little.ends
    assert [(at, each.code) for at, each in none.ends] == [(20.0, 1011)]
    assert none.ends[0][1].reason.endswith("See https://dpgr.am/net0002")
    assert all(len(each.encode()) <= 123 for each in (NET_0000, NET_0001, none.ends[0][1].reason))


def test_a_server_may_end_a_connection_that_has_only_text():
    heard = Listener(habits=Habits(no_audio=30.0)).speak(1.5).wait(1)
    for _ in range(20):
        heard.control("KeepAlive").wait(4)

    assert [at for at, _ in heard.ends] == [31.4]
    assert heard.ends[0][1].reason.endswith("net0002")


@pytest.mark.parametrize("rate", [1.0, 1.25])
def test_audio_up_to_1_25_times_real_time_is_told_at_once(rate):
    heard = Listener(habits=Habits(latency=(0.1, 0.1))).speak(60, rate=rate)
    late = [now - 100 - end_of(each) / rate for now, each in heard.heard if not each["is_final"]]

    assert max(late) < 0.3


def test_faster_audio_is_told_later_and_never_refused():
    heard = Listener(habits=Habits(latency=(0.1, 0.1))).speak(100, rate=20.0)
    for _ in range(25):
        heard.control("KeepAlive").wait(4)
    heard.control("CloseStream").wait(3)
    told = [(now - 100, end_of(each)) for now, each in heard.heard if isinstance(each, dict) and "start" in each]

    assert spoken(100) == heard.words()
    assert [each.code for _, each in heard.ends] == [1000]
    assert all(now >= (end - 2.0) / 1.25 for now, end in told if end > 2)
    assert 75 < next(now for now, end in told if end >= 99.9) < 82


def test_the_backlog_of_what_came_too_fast_is_not_idleness():
    """CloseStream waits for all of it to be told, however long that takes."""
    heard = Listener().speak(60, rate=50.0).control("CloseStream").wait(100)

    assert spoken(60) == heard.words()
    assert [each.code for _, each in heard.ends] == [1000]
