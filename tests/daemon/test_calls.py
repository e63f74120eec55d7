"""Many calls in one daemon: who is let in, that none is another's trouble, and what operators do to one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from supervisor.config import CallConfig, Config, LimitsConfig
from supervisor.core.pool import Pool
from supervisor.core.problem import Exit, Problem
from supervisor.core.settings import BufferSettings, FleetSettings, RetrySettings, Settings
from supervisor.emulator.faults import Refuse, Reset
from supervisor.emulator.plan import Plan
from supervisor.emulator.speech import Speech
from supervisor.events import CallEnded, Gap, SessionClosed, SessionOpened
from supervisor.sources.feed import End
from tests.daemon.hosting import PBX, host
from tests.simulation import PHONE, SALT, speaker


def spoken(seconds, audio=PHONE):
    return [word.word for word in Speech(SALT, audio.sample_rate).between(0, audio.frames(seconds))]


def said(house, call_id):
    return [word.word for word in house.words(call_id)]


def whole(house, call_id, seconds):
    ended = house.ended(call_id)

    assert ended.outcome == "complete"
    assert said(house, call_id) == spoken(seconds)
    assert ended.audio.acknowledged_frames == ended.audio.heard_frames == PHONE.frames(seconds)


def test_calls_come_and_go_and_each_is_whole():
    async def body(house):
        for number in range(10):
            house.place(f"call-{number}", 20.0, metadata={"n": str(number)})
            await trio.sleep(1.3)
        assert house.view("call-9").state == "streaming"
        await trio.sleep(40)
        assert house.daemon.calls() == []

    house = host(body, [Reset(audio=5.0)] * 5)

    assert house.outcome is Exit.OK
    for number in range(10):
        whole(house, f"call-{number}", 20.0)
    assert {taken.outcome for taken in house.taken.values()} == {"complete"}
    assert house.hosting.metrics.audio().acknowledged == pytest.approx(200.0)


def test_one_more_than_there_may_be_is_refused_and_nobody_suffers():
    async def body(house):
        for number in range(4):
            house.place(f"call-{number}", 20.0)
            await trio.sleep(1)
        assert house.daemon.health().ready is False
        assert house.daemon.health().reasons == ["3 of 3 calls"]
        await trio.sleep(30)
        house.place("late", 5.0)
        await trio.sleep(20)

    house = host(body, config=Config(intakes=(PBX,), limits=LimitsConfig(max_calls=3)))

    assert house.taken["call-3"].outcome == "refused"
    for call_id in ("call-0", "call-1", "call-2"):
        whole(house, call_id, 20.0)
    whole(house, "late", 5.0)


def test_two_calls_of_one_name_are_told_apart():
    async def body(house):
        for _ in range(3):
            house.place("same", 10.0)
            await trio.sleep(1)
        await trio.sleep(30)
        house.place("same", 5.0)  # the name is free again
        await trio.sleep(20)

    house = host(body)

    assert [event.call_id for event in house.of(CallEnded)] == ["same", "same~2", "same~3", "same"]


class Broken:
    """A source with a bug."""

    label = "broken"

    def __init__(self, when):
        self.when = when

    @asynccontextmanager
    async def open(self):
        if self.when == "opened":
            raise ValueError("a bug")
        if self.when == "unreadable":
            raise Problem("it is not audio", "convert it", Exit.BAD_AUDIO)
        async with speaker(30.0).open() as feed:
            take = feed.take

            def broken():
                if trio.current_time() > 8 and self.when == "taken":
                    raise ValueError("a bug")
                if trio.current_time() > 8 and self.when == "dies":
                    return End(Problem("the line is dead", "", Exit.NO_INPUT))
                return take()

            feed.take = broken
            yield feed
        if self.when == "left":
            raise ValueError("a bug")


@pytest.mark.parametrize("when", ["opened", "unreadable", "taken", "dies", "left"])
def test_a_source_that_raises_anything_ends_its_own_call(when):
    async def body(house):
        house.place("good", 20.0)
        house.place("bad", source=Broken(when))
        await trio.sleep(60)

    house = host(body)

    whole(house, "good", 20.0)
    outcome = house.taken["bad"].outcome
    assert outcome == {"opened": "failed", "unreadable": "failed", "taken": "aborted", "dies": "complete", "left": "complete"}[when]
    assert house.outcome is Exit.OK  # of what ended long before the service did nobody is told by its exit code
    if when == "taken":
        ended = house.ended("bad")
        assert ended.audio.heard_frames == ended.audio.acknowledged_frames + ended.audio.lost_frames


def test_an_operator_ends_pauses_and_resumes_one_call():
    async def body(house):
        house.place("a", 60.0)
        house.place("b", 60.0)
        await trio.sleep(10)
        assert house.daemon.pause("a")
        assert house.view("a").paused
        await trio.sleep(10)
        assert house.daemon.resume("a")
        assert not house.view("a").paused
        assert house.view("a").withheld == pytest.approx(10, abs=0.2)
        await trio.sleep(10)
        assert house.daemon.end("b")
        await trio.sleep(5)
        assert [view.call_id for view in house.daemon.calls()] == ["a"]
        assert not house.daemon.end("b")
        assert not house.daemon.pause("nobody")
        await trio.sleep(60)

    house = host(body)

    assert house.ended("a").audio.withheld == pytest.approx(10, abs=0.2)
    assert {gap.reason for gap in house.of(Gap)} == {"paused"}
    assert house.ended("b").audio.heard == pytest.approx(30, abs=0.2)
    assert house.ended("b").audio.unfinished_frames == 0


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("passes", range(6))
def test_a_call_may_be_ended_at_the_moment_it_begins(live, passes):
    """Between its source's opening and its first audio there is no moment at which nobody hears of it."""

    async def body(house):
        house.place("a", source=speaker(1000.0, live=live), realtime=True)
        for _ in range(passes):
            await trio.lowlevel.checkpoint()
        while not house.daemon.end("a"):  # it has not come yet
            await trio.lowlevel.checkpoint()
        await trio.sleep(20)
        assert house.daemon.calls() == []

    for seed in range(4):
        assert host(body, seed=seed).outcome is Exit.OK


def test_a_view_shows_how_a_call_does():
    async def body(house):
        house.place("a", 60.0, metadata={"queue": "sales"})
        await trio.sleep(12)
        view = house.view("a")
        assert (view.intake, view.source, view.state, view.sessions) == ("pbx", "speaker", "streaming", 2)
        assert view.last_closure == "1006 connection reset by peer"
        assert view.metadata == {"queue": "sales"}
        assert view.heard == pytest.approx(12, abs=0.2)
        assert view.heard == pytest.approx(view.acknowledged + view.behind)
        assert view.held_bytes > 0
        await trio.sleep(60)

    host(body, [Reset(audio=5.0)])


# All calls and one server


def test_calls_that_all_lose_their_server_at_one_instant_come_back_one_after_another():
    """Here they are forty, who may come back at ten a second, eight at a time."""
    count, most, back = 40, [0], {}

    async def body(house):
        for number in range(count):
            house.place(f"call-{number}", 20.0)
        for _ in range(300):
            await trio.sleep(0.1)
            most[0] = max(most[0], house.hosting.fleet.dials)
            for event in house.of(SessionOpened):
                if event.session == 2:
                    back.setdefault(event.call_id, trio.current_time())

    settings = Settings(fleet=FleetSettings(rate=10.0, burst=4, dials=8))
    house = host(body, Plan([Reset(time=10.0)] * count), settings=settings)

    for number in range(count):
        whole(house, f"call-{number}", 20.0)
    assert 1 <= most[0] <= 8
    assert max(back.values()) < 10 + 5.5 + count / 10
    assert max(back.values()) - min(back.values()) > 2.5


def test_an_outage_is_survived_by_all_who_have_room_and_found_out_by_a_few():
    """After five failures one at a time tries, and all are back soon after."""
    plan = Plan([*[Reset(time=10.0)] * 12, *[Refuse(status=503)] * 20])

    async def body(house):
        for number in range(12):
            house.place(f"call-{number}", 50.0)
        await trio.sleep(90)

    house = host(body, plan)

    for number in range(12):
        whole(house, f"call-{number}", 50.0)
    assert "breaker_opened" in house.log.names
    assert "breaker_closed" in house.log.names
    tries = [event for event in house.of(SessionClosed) if event.status == 503]
    assert len(tries) == 20
    assert max(len([each for each in tries if each.call_id == event.call_id]) for event in tries) < 20


def test_a_server_that_allows_ten_sessions_gets_no_storm():
    plan = Plan((), habits=replace(Plan().habits, concurrency=10))

    async def body(house):
        for number in range(15):
            house.place(f"call-{number}", 30.0)
        await trio.sleep(200)

    house = host(body, plan)

    for number in range(15):
        whole(house, f"call-{number}", 30.0)
    refused = [event for event in house.of(SessionClosed) if event.status == 429]
    assert "governor_limited" in house.log.names
    assert len(refused) < 25


def test_a_key_without_credit_holds_calls_loudly_and_gives_up_in_the_end():
    settings = Settings(retry=RetrySettings(give_up_after=120.0))

    async def body(house):
        house.place("a", 200.0)
        await trio.sleep(30)
        assert "the key (none) is refused: 1 calls wait" in house.daemon.health().notes
        assert house.daemon.health().ready
        house.place("b", 10.0)
        await trio.sleep(300)

    house = host(body, Plan([Refuse(status=402)], then="repeat"), settings=settings)

    assert house.log.names.count("key_refused") >= 2
    assert len(house.of(SessionClosed)) == 1  # one dial told all that there is to know
    assert house.ended("a").outcome == house.ended("b").outcome == "gave_up"
    assert house.ended("a").audio.lost_frames == house.ended("a").audio.heard_frames


# Memory


def test_memory_that_fills_up_is_told_of_then_refuses_new_calls_and_then_takes_from_the_longest():
    """Nobody answers; ten calls fill what there is for audio."""
    limit = 10 * 40 * 8000  # forty seconds for each of ten calls
    pool = Pool(limit)
    seen = []

    async def body(house):
        for number in range(10):
            house.place(f"call-{number}", 100.0)
            await trio.sleep(0.5)
        while trio.current_time() < 100:
            await trio.sleep(1)
            seen.append((trio.current_time(), pool.used, house.daemon.refusal()))
        house.place("late", 5.0)
        await trio.sleep(400)

    settings = Settings(retry=RetrySettings(longest=5.0), fleet=FleetSettings(probe=1.0), buffer=BufferSettings(seconds=600.0))
    refusals = [Refuse(status=503)] * 150
    house = host(body, Plan(refusals), pool=pool, settings=settings)

    assert "buffer_filling" in house.log.names
    assert house.log.names.index("buffer_filling") < house.log.names.index("buffer_eased")
    assert max(used for _, used, _ in seen) <= limit + 20_000
    full = [why for at, _, why in seen if at > 50]
    assert full.count("the memory for audio is full") > 20
    assert house.taken["late"].outcome == "refused"
    lost = [house.ended(f"call-{number}").audio.lost for number in range(10)]
    assert min(lost) > 0
    assert max(lost) - min(lost) < 10  # the longest backlog gives way, so all end up alike
    for number in range(10):
        audio = house.ended(f"call-{number}").audio
        assert audio.heard_frames == audio.acknowledged_frames + audio.lost_frames


def test_listed_calls_and_brought_ones_live_together(tmp_path):
    async def body(house):
        house.place("brought", 10.0)
        await trio.sleep(30)

    config = Config(intakes=(PBX,), calls=(CallConfig("listed", str(tmp_path / "absent.wav")),))
    house = host(body, config=config)

    whole(house, "brought", 10.0)
    assert house.outcome is Exit.NO_INPUT  # a listed call's failure is the process's
