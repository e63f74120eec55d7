"""Memory that calls share: the one furthest behind gives way first, and nobody more than there is need."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.pool import Pool


@dataclass(eq=False)
class Call:
    """Audio of which `kept` bytes are not yet acknowledged and the rest is held for a replay."""

    backlog: int = 0
    margin: int = 0
    gave: list[int] = field(default_factory=list)
    stubborn: bool = False
    live: bool = True
    own: int = 0

    @property
    def held(self) -> int:
        return self.backlog + self.margin

    @property
    def spare(self) -> int:
        return max(0, self.backlog - self.own) if self.live else 0

    def give_way(self, size: int) -> None:
        self.gave.append(size)
        if not self.stubborn:
            self.backlog -= min(size, self.backlog)


def filled(limit: int, *backlogs: int) -> tuple[Pool, list[Call]]:
    pool, calls = Pool(limit), [Call(backlog) for backlog in backlogs]
    for call in calls:
        pool.update(call)
    return pool, calls


def test_below_the_limit_nobody_gives_way():
    pool, calls = filled(100, 40, 60)

    assert [call.gave for call in calls] == [[], []]
    assert (pool.used, pool.full) == (100, True)


def test_the_longest_backlog_gives_way_whoever_brought_the_last_byte():
    pool, calls = filled(100, 30, 60, 20)

    assert [call.backlog for call in calls] == [30, 50, 20]
    assert [call.gave for call in calls] == [[], [10], []]
    assert pool.used == 100


def test_when_one_has_given_all_the_next_gives_too():
    pool, (one, two) = filled(100, 50, 40)
    one.margin = two.margin = 70
    pool.update(one)
    pool.update(two)

    assert (one.backlog, two.backlog) == (0, 0)
    assert pool.used == 140  # what is held for a replay is not audio that can be given up


def test_who_cannot_give_way_is_not_asked_for_ever():
    pool = Pool(100)
    stubborn = Call(500, stubborn=True)
    pool.update(stubborn)

    assert stubborn.gave == [400]
    assert pool.used == 500

    able = Call(50)
    pool.update(able)
    assert able.gave == [50]  # though it is not the one furthest behind


def test_without_a_limit_everything_is_held():
    pool, calls = filled(0, 10**12, 10**12)

    assert [call.gave for call in calls] == [[], []]
    assert not pool.full


def test_who_leaves_takes_its_audio_along():
    pool, (one, two) = filled(100, 60, 40)
    pool.leave(one)
    pool.leave(one)

    assert (pool.used, pool.full) == (40, False)
    two.backlog = 100
    pool.update(two)
    assert two.gave == []


HAPPENINGS = st.lists(st.tuples(st.integers(0, 3), st.integers(-60, 80), st.booleans()), max_size=60)


@given(st.integers(1, 150), HAPPENINGS)
def test_any_history_stays_within_the_limit_and_loses_no_more_than_it_must(limit, happenings):
    pool, calls, inside = Pool(limit), [Call() for _ in range(4)], set()
    for who, change, leaves in happenings:
        call = calls[who]
        if leaves and change < 0:
            pool.leave(call)
            call.backlog = 0
            inside.discard(who)
            continue
        before = [each.backlog for each in calls]
        before[who] = max(0, call.backlog + change)
        call.backlog = before[who]
        inside.add(who)
        pool.update(call)
        after = [each.backlog for each in calls]

        assert pool.used == sum(calls[each].held for each in inside) == min(limit, sum(before[each] for each in inside))
        for given_up in (number for number in inside if after[number] < before[number]):
            assert before[given_up] >= max(after)  # nobody who was behind further was spared


def test_who_can_wait_never_loses():
    """It asks for room before it reads; however much it holds, a live one gives way, or nobody."""
    pool = Pool(100)
    patient, live = Call(90, live=False), Call(30)
    pool.update(patient)
    pool.update(live)
    assert (patient.gave, live.gave) == ([], [20])

    live.backlog, patient.backlog = 0, 300
    pool.update(live)
    pool.update(patient)
    assert patient.gave == []
    assert pool.full


def test_where_nobody_is_live_nobody_loses():
    pool = Pool(100)
    patient = Call(300, live=False)
    pool.update(patient)
    assert patient.gave == []


def test_nobody_gives_way_with_what_is_its_own():
    """What those who can wait hold may be over the limit for long: a live one that is hardly behind keeps its audio."""
    pool = Pool(100)
    patient, live, behind = Call(500, live=False), Call(30, own=40), Call(70, own=40)
    for each in (patient, live, behind):
        pool.update(each)

    assert (live.backlog, behind.backlog) == (30, 40)
