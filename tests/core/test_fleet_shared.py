"""Many calls and one server: who dials, when, and what is remembered of those that have gone."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.closure import Closure
from supervisor.core.fleet import Notice, Party, SharedFleet
from supervisor.core.settings import FleetSettings

ONE = Party("file:/key", "wss://one:443", "nova-3")
OTHER = Party("file:/key", "wss://other:443", "nova-3")
BROKE, CLEAN = Closure(code=1006, opened=True), Closure(code=1011, opened=True, reason="NET-0000")
REFUSED = Closure(reason="Connection refused")


def fleet(**more):
    told: list[Notice] = []
    made = SharedFleet(FleetSettings(**more), told.append)
    return made, told


def names(told):
    return [notice.event for notice in told]


@dataclass
class Crowd:
    """Calls that ask when they are told to, dials that take a while, and a server that says what becomes of each."""

    fleet: SharedFleet
    answer: object  # (call_id, now, open sessions) -> Closure, or None for an open session
    takes: float = 0.1
    now: float = 0.0
    opened: dict[str, float] = field(default_factory=dict)
    dials: list[tuple[float, str]] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)
    most: int = 0

    def run(self, calls, until, *, backoff=0.0):
        """`calls`: (when, id, running). Ends when all are open, or at `until`."""
        events = [(at, number, "ask", call_id, running) for number, (at, call_id, running) in enumerate(calls)]
        heapq.heapify(events)
        number = len(events)
        while events and (event := heapq.heappop(events))[0] <= until:
            self.now, _, what, call_id, running = event
            number += 1
            if what == "ask":
                self.asked[call_id] = self.asked.get(call_id, 0) + 1
                wait = self.fleet.lease(call_id, ONE, self.now, running=running)
                if wait:
                    heapq.heappush(events, (self.now + wait, number, "ask", call_id, running))
                else:
                    self.dials.append((self.now, call_id))
                    self.most = max(self.most, self.fleet.dials)
                    heapq.heappush(events, (self.now + self.takes, number, "dialled", call_id, running))
            else:
                closure = self.answer(call_id, self.now, len(self.opened))
                if closure is None:
                    self.fleet.opened(call_id, self.now)
                    self.opened[call_id] = self.now
                else:
                    self.fleet.report(call_id, closure, self.now)
                    heapq.heappush(events, (self.now + backoff, number, "ask", call_id, running))
        return self


def always(_call_id, _now, _opened):
    return None


def test_five_hundred_calls_that_drop_at_once_come_back_spread_out():
    """At the rate, sixteen dials in flight at most, and nobody asks much more often than once a second."""
    chance = random.Random(1)
    calls = [(chance.uniform(0, 0.25), f"call-{number}", True) for number in range(500)]
    crowd = Crowd(fleet()[0], always).run(calls, 60.0)

    assert len(crowd.opened) == 500
    assert crowd.most <= 16
    assert max(crowd.opened.values()) < 12
    for second in range(1, 9):
        assert 40 <= sum(second <= at < second + 1 for at, _ in crowd.dials) <= 60
    assert max(crowd.asked.values()) <= 25
    assert sum(crowd.asked.values()) < 500 * 15


def test_slow_handshakes_bound_the_dials_rather_than_the_rate():
    calls = [(0.0, f"call-{number}", True) for number in range(100)]
    crowd = Crowd(fleet()[0], always, takes=2.0).run(calls, 60.0)

    assert len(crowd.opened) == 100
    assert crowd.most == 16
    assert max(crowd.opened.values()) < 20


def test_running_calls_go_before_new_ones():
    new = [(0.0, f"new-{number}", False) for number in range(100)]
    running = [(0.3, f"running-{number}", True) for number in range(100)]
    crowd = Crowd(fleet()[0], always).run([*new, *running], 60.0)

    order = [call_id.split("-")[0] for at, call_id in crowd.dials if at > 0.4]
    assert order.index("running") < 3
    last = len(order) - 1 - order[::-1].index("running")
    assert order[: last + 1].count("new") <= 10  # those whose turn it was when the others had just been told to wait
    assert len(crowd.opened) == 200


def test_one_that_stops_asking_holds_up_nobody():
    made, _ = fleet(dials=1)
    assert made.lease("first", ONE, 0.0, running=True) == 0.0
    assert made.lease("gone", ONE, 0.0, running=True) > 0
    assert made.lease("next", ONE, 0.0, running=True) > 0
    made.opened("first", 0.1)
    crowd = Crowd(made, always, now=0.1).run([(0.1, "next", True)], 30.0)

    assert crowd.opened["next"] < 3


# The breaker


def test_an_endpoint_that_does_not_answer_is_tried_by_one_call_at_a_time():
    back = 60.0
    made, told = fleet()
    calls = [(0.0, f"call-{number}", True) for number in range(200)]
    crowd = Crowd(made, lambda _, now, __: None if now >= back else REFUSED).run(calls, 120.0, backoff=0.2)

    early = [at for at, _ in crowd.dials if at < back]
    assert len(early) <= 16 + 5 + back / 2 + 1
    assert names(told) == ["breaker_opened", "breaker_closed"]
    assert len(crowd.opened) == 200
    assert max(crowd.opened.values()) - back < 2 + 1 + 200 / 50 + 1.5  # a try, a second's wait, the rate
    assert crowd.most <= 16


@pytest.mark.parametrize("closure", [Closure(status=503), Closure(status=500), REFUSED])
def test_failed_dials_and_server_errors_open_it(closure):
    made, told = fleet(failures=2)
    for number in range(2):
        made.lease(f"{number}", ONE, 0.0, running=True)
        made.report(f"{number}", closure, 0.0)

    assert names(told) == ["breaker_opened"]
    assert made.breakers() == {ONE.endpoint: "open"}
    assert made.lease("a", ONE, 0.1, running=True) > 0
    assert made.lease("a", OTHER, 0.1, running=True) == 0  # another endpoint's business


@pytest.mark.parametrize(
    "closure", [Closure(status=400), Closure(status=404), Closure(unkeyed=True), CLEAN, BROKE, Closure(code=1011, opened=True)]
)
def test_nothing_else_does(closure):
    made, told = fleet(failures=1)
    made.lease("a", ONE, 0.0, running=True)
    if closure.opened:
        made.opened("a", 0.0)
    made.report("a", closure, 0.0)

    assert told == []
    assert made.lease("b", ONE, 0.1, running=True) == 0


def opened_breaker():
    made, told = fleet(failures=1)
    made.lease("a", ONE, 0.0, running=True)
    made.report("a", REFUSED, 0.0)
    return made, told


@pytest.mark.parametrize("lost", ["leaves", "is never heard of", "has no key"])
def test_a_lost_probe_does_not_wedge_it(lost):
    made, _ = opened_breaker()
    assert made.lease("probe", ONE, 2.0, running=True) == 0
    assert made.breakers() == {ONE.endpoint: "half-open"}
    assert made.lease("b", ONE, 2.0, running=True) > 0
    if lost == "leaves":
        made.leave("probe", 3.0)
    elif lost == "has no key":
        made.report("probe", Closure(unkeyed=True), 3.0)
    crowd = Crowd(made, always).run([(3.0, "b", True)], 60.0)

    assert crowd.opened["b"] < 20 if lost == "is never heard of" else crowd.opened["b"] < 7


def test_who_backs_off_by_itself_is_told_when_it_answers_again():
    made, _ = opened_breaker()
    before = made.epoch
    made.lease("b", ONE, 2.0, running=True)
    made.opened("b", 2.1)

    assert made.epoch != before
    assert made.lease("a", ONE, 2.1, running=True) == 0


# The governor


class Limited:
    """A server that allows so many sessions, and counts one that broke for a while."""

    def __init__(self, most):
        self.most = most
        self.broken = []  # until when each is counted
        self.refused = []

    def answer(self, _call_id, now, opened):
        self.broken = [until for until in self.broken if until > now]
        if opened + len(self.broken) >= self.most:
            self.refused.append(now)
            return Closure(status=429)
        return None


def test_a_limit_is_found_and_then_tried_again_by_one():
    made, told = fleet()
    server = Limited(20)
    crowd = Crowd(made, server.answer).run([(0.0, f"call-{number}", False) for number in range(40)], 100.0, backoff=0.1)

    assert len(crowd.opened) == 20
    assert names(told)[0] == "governor_limited"
    late = [at for at in server.refused if at > 2]
    assert 5 <= len(late) <= 11  # one every ten seconds, and no storm
    assert made.limits() == {ONE.key: 20 + (len(late) < 9)} or made.limits()[ONE.key] in (20, 21)


def test_sessions_that_broke_are_counted_as_long_as_the_server_counts_them():
    made, _ = fleet()
    server = Limited(10)
    crowd = Crowd(made, server.answer).run([(0.0, f"call-{number}", True) for number in range(11)], 9.0, backoff=0.1)
    assert len(crowd.opened) == 10
    refused = len(server.refused)
    dead = list(crowd.opened)[:4]
    for call_id in dead:
        del crowd.opened[call_id]
        server.broken.append(9.0 + 15.0)
        made.report(call_id, BROKE, 9.0)
    crowd.run([(9.0, call_id, True) for call_id in dead], 23.9, backoff=0.1)
    assert len(server.refused) - refused <= 3  # the one more that is tried every ten seconds
    crowd.run([(24.0, call_id, True) for call_id in dead], 40.0, backoff=0.1)

    assert len(crowd.opened) == 10


def test_a_clean_end_frees_its_place_at_once_and_a_limit_nobody_comes_near_is_forgotten():
    made, told = fleet()
    for number in range(3):
        made.lease(f"{number}", ONE, 0.0, running=False)
    made.opened("0", 0.1)
    made.opened("1", 0.1)
    made.report("2", Closure(status=429), 0.1)
    assert made.limits() == {ONE.key: 2}
    assert made.lease("2", ONE, 0.2, running=False) > 0
    made.report("0", CLEAN, 0.3)
    assert made.lease("2", ONE, 1.3, running=False) == 0
    made.opened("2", 1.4)
    made.report("1", CLEAN, 2.0)
    made.report("2", CLEAN, 2.0)

    assert made.limits() == {ONE.key: None}
    assert names(told) == ["governor_limited", "governor_lifted"]


def test_a_limit_below_what_is_open_closes_nobody_and_lets_nobody_in():
    made, _ = fleet()
    made.lease("a", ONE, 0.0, running=False)
    made.report("a", Closure(status=429), 0.0)

    assert made.limits() == {ONE.key: 1}
    assert made.lease("a", ONE, 0.1, running=False) == 0  # one is always tried


def test_a_rest_that_a_server_asks_for_is_everybodys_but_no_longer_than_a_minute():
    made, told = fleet()
    made.lease("a", ONE, 0.0, running=False)
    made.report("a", Closure(status=503, retry_after=7.0), 0.0)
    assert made.lease("b", ONE, 2.0, running=True) == pytest.approx(5.0)
    assert made.lease("c", OTHER, 2.0, running=True) == 0
    assert made.lease("b", ONE, 7.0, running=True) == 0
    made.report("b", Closure(status=503, retry_after=5.0), 7.0)
    made.report("c", Closure(status=503, retry_after=1.0), 7.0)
    made.lease("d", ONE, 12.0, running=True)
    made.report("d", Closure(status=503, retry_after=3600.0), 12.0)

    assert made.lease("b", ONE, 13.0, running=True) == pytest.approx(59.0)
    assert [notice.details["seconds"] for notice in told] == [7.0, 5.0, 1.0, 60.0]


def test_a_shorter_rest_does_not_end_a_longer_one():
    made, told = fleet()
    for call_id in "abc":
        made.lease(call_id, ONE, 0.0, running=False)
    made.report("a", Closure(status=503, retry_after=9.0), 0.0)
    made.report("b", Closure(status=503, retry_after=2.0), 1.0)

    assert made.lease("d", ONE, 4.0, running=True) == pytest.approx(5.0)
    assert len(told) == 1


def test_a_server_that_is_overrun_at_its_return_is_not_taken_for_a_small_one():
    """It had allowed two hundred: the way back is by doubling, and a 429 on the way says that it is not that many now."""
    made, _ = fleet()
    crowd = Crowd(made, always).run([(0.0, f"call-{number}", False) for number in range(200)], 60.0)
    for call_id in list(crowd.opened):
        made.report(call_id, Closure(code=1012, opened=True), 60.0)
    crowd.opened.clear()
    early = [0]

    def answer(call_id, now, opened):
        early[0] += now < 62
        return Closure(status=429) if now < 62 and early[0] <= 3 else None

    crowd.answer = answer
    crowd.run([(60.0, f"call-{number}", True) for number in range(200)], 300.0, backoff=0.1)

    assert len(crowd.opened) == 200
    assert max(crowd.opened.values()) < 60 + 100

    made, _ = fleet()
    server = Limited(200)
    crowd = Crowd(made, server.answer).run([(0.0, f"call-{number}", False) for number in range(200)], 60.0)
    for call_id in list(crowd.opened):
        made.report(call_id, Closure(code=1012, opened=True), 60.0)
    crowd.opened.clear()
    server.most = 30
    crowd.run([(60.0, f"call-{number}", True) for number in range(200)], 400.0, backoff=0.1)

    assert len(server.refused) < 16 + 16 + 40  # the first ones at once, a doubling too far, and then one at a time
    assert len(crowd.opened) == 30


def test_a_limit_that_stands_is_not_lifted_and_set_again_and_again():
    made, told = fleet()
    server = Limited(20)
    Crowd(made, server.answer).run([(0.0, f"call-{number}", False) for number in range(21)], 600.0, backoff=0.1)

    assert "governor_lifted" not in names(told)


def test_who_was_cut_off_tries_before_who_is_new():
    made, _ = opened_breaker()
    assert made.lease("old", ONE, 1.5, running=True) > 0
    assert made.lease("new", ONE, 2.1, running=False) > 0
    assert made.lease("old", ONE, 2.2, running=True) == 0
    made.report("old", REFUSED, 2.3)

    assert made.lease("new", ONE, 9.0, running=False) == 0  # nobody else is there any more


# Keys


def refuse(made, status, *, times=1, party=ONE, now=0.0):
    for number in range(times):
        made.lease(f"r{number}", party, now, running=True)
        made.report(f"r{number}", Closure(status=status), now)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_dials_of_the_key_before_say_nothing_of_the_one_after(status):
    """They were out when it was changed, and come back when one with the new key has opened, or nobody has dialled yet."""
    made, told = fleet()
    for call_id in "abcdef":
        made.lease(call_id, ONE, 0.0, running=True)
    made.restart(0.1)
    for call_id in "abc":
        made.report(call_id, Closure(status=status), 0.2)
    made.lease("new", ONE, 0.3, running=True)
    made.opened("new", 0.4)
    for call_id in "def":
        made.report(call_id, Closure(status=status), 0.5)

    assert told == []
    assert made.refused == []


def test_a_dial_that_opens_frees_its_key():
    made, told = fleet()
    made.lease("slow", ONE, 0.0, running=True)
    refuse(made, 402)
    made.opened("slow", 1.0)

    assert names(told) == ["key_refused", "key_free"]
    assert made.lease("a", ONE, 1.0, running=True) == 0


def test_an_endpoint_that_nobody_has_any_more_is_forgotten_with_a_reload():
    made, _ = opened_breaker()
    assert made.lease("b", ONE, 1.0, running=False) > 0
    made.restart(1.0)
    assert made.breakers() == {ONE.endpoint: "open"}  # somebody waits for it
    made.leave("b", 1.0)
    made.restart(2.0)

    assert made.breakers() == {}


@pytest.mark.parametrize("status, times", [(401, 2), (402, 1)])
def test_a_refused_key_is_dialled_with_by_nobody_until_somebody_acts(status, times):
    made, told = fleet()
    refuse(made, status, times=times)

    assert names(told) == ["key_refused"]
    assert made.refused == [(ONE.key, None)]
    assert made.lease("a", OTHER, 500.0, running=True) > 0
    before = made.epoch
    made.restart(500.0)
    assert names(told)[-1] == "key_free"
    assert made.epoch != before
    assert made.lease("a", ONE, 500.0, running=True) == 0


def test_dials_that_were_out_already_say_nothing_new():
    made, told = fleet()
    for call_id in "abc":
        made.lease(call_id, ONE, 0.0, running=False)
    for call_id in "abc":
        made.report(call_id, Closure(status=402), 0.1)

    assert names(told) == ["key_refused"]


def test_the_first_401_may_be_of_a_key_that_is_being_changed():
    made, told = fleet()
    refuse(made, 401)
    assert made.lease("a", ONE, 0.1, running=True) == 0
    made.opened("a", 0.2)
    refuse(made, 401)

    assert told == []
    refuse(made, 401)
    assert names(told) == ["key_refused"]


def test_a_403_is_of_one_model():
    made, told = fleet()
    refuse(made, 403)

    assert told[0].details["model"] == "nova-3"
    assert made.lease("a", ONE, 1.0, running=True) > 0
    assert made.lease("b", Party(ONE.key, ONE.endpoint, "nova-2"), 1.0, running=True) == 0
    made.restart(2.0)
    assert told[-1].details == {"key": ONE.key, "model": "nova-3"}


def test_it_is_said_again_every_minute_while_calls_wait():
    made, told = fleet()
    refuse(made, 402)
    now = 0.0
    while now < 200:
        now += made.lease("a", ONE, now, running=True)

    assert names(told) == ["key_refused"] * 4
    assert told[-1].details["calls_waiting"] == 1


# Whatever happens

CALLS = st.sampled_from("abcdefgh")
CLOSURES = st.builds(
    Closure,
    code=st.sampled_from([None, 1000, 1006, 1011]),
    status=st.sampled_from([None, None, 400, 401, 402, 403, 429, 503]),
    retry_after=st.sampled_from([0.0, 0.0, 5.0]),
    opened=st.booleans(),
    unkeyed=st.booleans(),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("lease"), CALLS, st.sampled_from([ONE, OTHER]), st.booleans()),
        st.tuples(st.just("opened"), CALLS),
        st.tuples(st.just("report"), CALLS, CLOSURES),
        st.tuples(st.just("leave"), CALLS),
        st.tuples(st.just("restart")),
        st.tuples(st.just("time"), st.floats(0, 30)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.integers(1, 4))
def test_any_history_keeps_to_the_limit_and_leaves_nothing_behind(steps, dials):
    """A call asks only while it holds nothing, as calls do."""
    made, _ = fleet(dials=dials)
    now, holding, open_ = 0.0, set(), set()
    for what, *arguments in steps:
        if what == "time":
            now += arguments[0]
        elif what == "restart":
            made.restart(now)
        elif what == "lease":
            call_id, party, running = arguments
            if call_id not in holding and made.lease(call_id, party, now, running=running) == 0:
                holding.add(call_id)
        elif what == "opened":
            if arguments[0] in holding - open_:
                made.opened(arguments[0], now)
                open_.add(arguments[0])
        else:
            getattr(made, what)(*arguments, now)
            holding.discard(arguments[0])
            open_.discard(arguments[0])
        assert made.dials == len(holding - open_) <= dials
    for call_id in "abcdefgh":
        made.leave(call_id, now)

    assert made.dials == made.waiting == 0
    for name in ("_asking", "_dialling", "_opened"):
        assert not getattr(made, name)
    for key in made._keys.values():
        assert (len(key.queue), key.dialling, key.opened) == (0, 0, 0)
    made.restart(now)
    crowd = Crowd(made, always).run([(now + 100, call_id, True) for call_id in "abcdefgh"], now + 300)
    assert len(crowd.opened) == 8
