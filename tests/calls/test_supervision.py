"""Between sessions: how long is waited, who is obeyed, what is told of it, and what of it is a source's or a key's fault."""

import random
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import trio

from supervisor.call import Call
from supervisor.core.fleet import OpenFleet
from supervisor.core.problem import Exit, Problem
from supervisor.core.settings import BufferSettings, RetrySettings, SessionSettings, Settings
from supervisor.credential import Credential
from supervisor.emulator import conversation, server
from supervisor.emulator.faults import Close, NoFinals, NoMetadata, Refuse, Reset, StopAnswering
from supervisor.emulator.plan import Plan
from supervisor.events import SessionClosed, SessionOpened
from supervisor.running import Running
from supervisor.sources import MemorySource
from tests.simulation import PHONE, check_account, check_whole, in_room, simulate, speaker, transcribe


class Books(OpenFleet):
    def __init__(self):
        super().__init__()
        self.lines = []

    def lease(self, call_id, party, now, *, running):
        wait = super().lease(call_id, party, now, running=running)
        self.lines += ["lease"] if not wait else []
        return wait

    def report(self, call_id, closure, now):
        self.lines.append("report")
        super().report(call_id, closure, now)

    def leave(self, _call_id, _now):
        self.lines += ["left"] if self.lines[-1:] == ["lease"] else []  # it was cancelled in between


def test_the_first_retry_after_progress_comes_within_a_quarter_of_a_second():
    heard = transcribe(Plan([Reset(audio=10.0)], then="repeat"), 120.0)
    check_whole(heard)

    waits = [closed.retry_in for closed in heard.closures if closed.verdict == "retry"]
    assert len(waits) > 8
    assert all(wait <= 0.25 for wait in waits)
    assert len(set(waits)) > 5


def test_without_progress_waits_are_random_under_a_ceiling_that_doubles():
    heard = transcribe(Plan([Refuse(status=503)], then="repeat"), 2000.0)

    waits = [closed.retry_in for closed in heard.closures if closed.retry_in is not None]
    ceilings = [0.25, 0.5, 1, 2, 4, 8, 16] + [30] * len(waits)
    assert all(wait <= ceiling for wait, ceiling in zip(waits, ceilings, strict=False))
    assert max(waits) > 15
    assert [closed.attempt for closed in heard.closures] == list(range(1, len(heard.closures) + 1))


def test_the_wait_is_never_longer_than_what_the_buffer_can_still_hold():
    settings = Settings(retry=RetrySettings(give_up_after=80.0, initial=20.0), buffer=BufferSettings(seconds=60.0))
    heard = transcribe(Plan([Refuse(status=503)], then="repeat"), 300.0, settings=settings)

    for closed in heard.closures[:-1]:
        left = 60.0 - closed.backlog
        assert closed.retry_in <= (max(left, 0.25) if left > 0 else 5.0) + 1e-6


def test_a_full_buffer_is_no_reason_for_a_storm_of_dials():
    """Each second costs audio then, and a server that is down is not brought back by being asked three times a second."""
    settings = Settings(buffer=BufferSettings(seconds=60.0))
    heard = transcribe(Plan([Refuse(status=503)], then="repeat"), 300.0, settings=settings)

    assert 60 < heard.ended.sessions < 250


@pytest.mark.parametrize("as_date", [False, True])
def test_a_server_is_obeyed_when_it_asks_to_be_left_alone(as_date):
    heard = transcribe([Refuse(status=429, retry_after=7.0, as_date=as_date)], 40.0)
    check_whole(heard)

    assert heard.closures[0].retry_in == pytest.approx(7.0)
    first, second = heard.proof.connections
    assert second.opened - first.answered >= 7.0


def test_but_not_for_longer_than_a_minute():
    """And one call's Retry-After holds no other for longer either."""
    heard = transcribe([Refuse(status=503, retry_after=100_000.0)], 100.0)
    check_whole(heard)

    first, second = heard.proof.connections
    assert 59.9 < second.opened - first.answered < 61


def test_a_call_that_may_not_dial_is_given_up_all_the_same():
    class Never(OpenFleet):
        def lease(self, _call_id, _party, now, *, running):  # noqa: ARG002
            return 0.0 if now < 0.23 else 1000.0

    settings = Settings(retry=RetrySettings(give_up_after=100.0))
    heard = transcribe([Refuse(status=503)], 500.0, settings=settings, fleet=Never())
    check_account(heard)

    assert heard.ended.outcome == "gave_up"
    assert 95 < heard.ended_at < 105


@pytest.mark.parametrize("faults", [[Reset(audio=4.0), Refuse(status=503)], [Close(finishing=True)], []])
def test_every_lease_is_given_back(faults):
    books = Books()
    transcribe(faults, fleet=books)

    assert books.lines == ["lease", "report"] * (len(books.lines) // 2)
    assert len(books.lines) >= 2


def test_a_lease_is_given_back_when_the_call_is_cancelled_or_has_no_key(tmp_path):
    books = Books()
    key = tmp_path / "key"

    async def body(room):
        with trio.move_on_after(30):
            await Call(room.spec(source=speaker(60.0)), room.world).run()
        return room.events

    credential = Credential("file", str(key))
    events = simulate(partial(in_room, body, credential=credential, fleet=books))

    assert [line for line in books.lines if line != "lease"] == ["report"] * books.lines.count("report") + ["left"] * books.lines.count("left")
    assert books.lines.count("lease") * 2 == len(books.lines)
    closed = [event for event in events if isinstance(event, SessionClosed)]
    assert closed
    assert "key could not be read" in closed[0].advice
    assert str(key) in closed[0].reason


def test_a_key_that_is_changed_after_a_401_loses_nothing(tmp_path):
    """The key is read again for each dial: once at once after a 401, whatever happens then."""
    key = tmp_path / "key"
    key.write_text("old-key-0123456789")

    async def change(call, room):
        await trio.sleep(0.25)
        key.write_text("new-key-0123456789\n")

    credential = Credential("file", str(key))
    heard = transcribe(seconds=20.0, act=change, credential=credential, api_key="new-key-0123456789")
    check_whole(heard)

    assert [each.status for each in heard.proof.connections] == [401, 101]
    assert [closed.verdict for closed in heard.closures] == ["retry", "complete"]


def test_a_session_is_numbered_once_and_told_once():
    """What was opened as the second attempt is closed as the second attempt."""
    heard = transcribe([Refuse(status=503), Close(), Reset(audio=12.0), Reset(audio=9.0)], 40.0)
    check_whole(heard)

    opened = {event.session: event.attempt for event in heard.of(SessionOpened)}
    closed = {event.session: event.attempt for event in heard.closures}
    assert opened.items() <= closed.items()
    assert [closed[number] for number in sorted(closed)] == [1, 2, 3, 1, 1]


def test_after_progress_attempts_are_counted_anew():
    heard = transcribe([Reset(audio=12.0), *[Refuse(status=503)] * 3], 30.0)

    assert [closed.attempt for closed in heard.closures] == [1, 1, 2, 3, 4]


@pytest.mark.parametrize("finalize_after", [0, 1.0])
@pytest.mark.parametrize("seconds", [5.0, 600.0])
def test_a_source_that_waits_for_finals_gets_them_from_a_healthy_server(seconds, finalize_after):
    """However small the buffer, and though nobody asks for a final: the server always has enough to tell one of."""
    settings = Settings(
        buffer=BufferSettings(seconds=seconds), session=SessionSettings(finalize_after=finalize_after)
    )
    heard = transcribe(source=speaker(120.0, live=False), seconds=120.0, settings=settings)

    check_whole(heard)
    assert heard.ended.sessions == 1


def test_a_source_that_waits_for_finals_that_never_come_is_given_up():
    """The session lives, pings are answered, and nothing moves: that is no reason to wait for ever."""
    settings = Settings(buffer=BufferSettings(seconds=5.0), retry=RetrySettings(give_up_after=300.0))
    settings = replace(settings, session=SessionSettings(finalize_after=0, results_lag=1e6))
    plan = Plan([NoFinals()], then="repeat")
    heard = transcribe(plan, source=speaker(200.0, live=False), seconds=200.0, settings=settings)
    check_account(heard)

    assert heard.ended.outcome == "gave_up"
    assert heard.ended_at < 500
    assert "the source waits for" in heard.closures[0].reason


def test_metadata_at_the_opening_means_nothing(monkeypatch):
    """A compatible server may introduce itself: that is neither the end nor a verdict on the audio."""
    class Introduces(conversation.Conversation):
        def __init__(self, *args, **more):
            super().__init__(*args, **more)
            self._put(conversation.Say(self._metadata()), more["now"])

    monkeypatch.setattr(server, "Conversation", Introduces)

    check_whole(transcribe([Close(audio=8.0, code=1011)], 20.0))


def test_the_session_id_is_the_same_on_every_connection_of_a_call():
    heard = transcribe([Reset(audio=4.0), Refuse(status=503)])

    assert len({each.call for each in heard.proof.connections}) == 1
    assert heard.proof.connections[0].call


def test_silence_is_remembered_through_a_refused_dial():
    """The server had starved; a 503 in between does not make it forget that KeepAlive was not enough."""
    faults = [Close(time=40.0, reason="NET-0001"), Refuse(status=503)]
    heard = transcribe(faults, source=speaker(30.0, pauses=[(10.0, 60.0), (12.0, 40.0)]), seconds=30.0)
    check_whole(heard)

    last = heard.proof.connections[-1]
    assert last.kinds["KeepAlive"] == 0
    assert heard.ended.audio.injected > 30


def test_a_call_of_half_a_tenth_of_a_second_is_a_call():
    """It is dialled, sent and heard, however short."""
    source = MemorySource(PHONE, speaker().audio(0, 400), live=True)
    heard = transcribe(source=source, seconds=0.05)
    check_account(heard)

    assert heard.proof.received == [(0, 400)]
    assert (heard.ended.outcome, heard.ended.audio.acknowledged_frames) == ("complete", 400)


def test_a_refused_call_of_half_a_tenth_of_a_second_is_not_complete():
    source = MemorySource(PHONE, speaker().audio(0, 400), live=True)
    heard = transcribe([Refuse(status=503), Refuse(status=503)], source=source, seconds=0.05)

    assert heard.ended.sessions == 3
    assert heard.proof.received == [(0, 400)]


def test_a_trickle_is_sent_before_the_server_starves():
    """5 ms at a time is no frame; after a second without one it goes out as it is."""
    chunks = [(number * 0.2, speaker().audio(number * 40, 40)) for number in range(75)]
    heard = transcribe(source=MemorySource(PHONE, chunks, live=True), seconds=0.375)
    check_account(heard)

    times = heard.proof.connections[0].times
    assert all(b - a < 1.3 for a, b in pairwise(times))
    assert heard.ended.sessions == 1
    assert heard.proof.received == [(0, 3000)]


def test_stopping_a_call_whose_source_says_nothing_ends_it():
    class Mute:
        label = "mute"

        @asynccontextmanager
        async def open(self):
            await trio.sleep_forever()
            yield

    async def body(room):
        call = Call(room.spec(source=Mute()), room.world)
        async with trio.open_nursery() as nursery:
            results = []

            async def run():
                results.append(await call.run())

            nursery.start_soon(run)
            await trio.sleep(5)
            call.stop()
        return results, room.events, trio.current_time()

    results, events, now = simulate(partial(in_room, body))

    assert (results, events) == ([None], [])
    assert now < 6


@pytest.mark.parametrize("when", ["opened", "left"])
def test_a_source_that_breaks_ends_its_own_call_alone(when):
    """Whatever it raises, whenever: the other calls do not notice, and the exit code says that it is a bug."""

    class Bad:
        label = "bad"

        @asynccontextmanager
        async def open(self):
            if when == "opened":
                raise ValueError("a bug in a source")
            async with speaker(5.0).open() as feed:
                yield feed
            raise ValueError("a bug in a source")

    async def body(room):
        told = []
        these = Running(room.world, lambda problem, _: told.append(problem))
        results = {}

        async def one(name, source):
            results[name] = (await these.call(Call(room.spec(name, source), room.world))).result

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "bad", Bad())
            nursery.start_soon(one, "good", speaker(20.0))
        return results, these.exit_code

    results, code = simulate(partial(in_room, body))

    assert results["good"].outcome == "complete"
    if when == "opened":
        assert results["bad"] is None
        assert code is Exit.BUG
    else:
        assert results["bad"].outcome == "complete"
        assert results["bad"].ended.audio.acknowledged == 5.0


def test_a_source_that_cannot_be_opened_is_one_problem():
    class Absent:
        label = "absent"

        @asynccontextmanager
        async def open(self):
            raise Problem("it is not there", "make it", Exit.NO_INPUT)
            yield

    async def body(room):
        with pytest.raises(Problem, match="it is not there"):
            await Call(room.spec(source=Absent()), room.world).run()
        return room.events

    assert simulate(partial(in_room, body)) == []


def test_the_source_is_left_as_soon_as_it_has_ended():
    """A child or a FIFO is not kept open while a server takes its time with the last results."""
    left = []

    class Watched:
        label = "watched"

        @asynccontextmanager
        async def open(self):
            async with speaker(10.0).open() as feed:
                yield feed
            left.append(trio.current_time())

    heard = transcribe([NoMetadata(), StopAnswering(finishing=True)], 10.0, source=Watched())

    assert left
    assert left[0] < 10.5 < heard.ended_at


def test_what_is_suspicious_about_the_audio_is_named_again_where_it_cannot_be_decoded():
    source = MemorySource(PHONE, speaker().audio(0, 80000), live=True)

    class Suspicious:
        label = "suspicious"

        @asynccontextmanager
        async def open(self):
            async with source.open() as feed:
                feed.warnings.append("there is an ID3 tag inside audio declared as mulaw")
                yield feed

    heard = transcribe([Close(audio=2.0, code=1008, reason="DATA-0000")], 10.0, source=Suspicious())

    assert "ID3" in heard.closures[-1].advice


def test_the_same_seed_gives_the_same_call():
    """To the event: a failure can be replayed."""
    plan = [Close(audio=5.0), Refuse(status=503), StopAnswering(audio=6.0), Reset(audio=3.0)]

    def trace():
        return repr(transcribe(plan, 40.0, seed=5, habits={"wobble": True}).events)

    assert trace() == trace()
    assert trace() != repr(transcribe(plan, 40.0, seed=6, habits={"wobble": True}).events)


def test_chance_is_the_worlds_alone():
    """Nothing draws from the process's own generator."""
    before = random.getstate()
    transcribe([Reset(audio=4.0)], 10.0)

    assert random.getstate() == before


@pytest.mark.parametrize("realtime", [False, True])
def test_what_is_left_of_a_file_is_told_while_it_runs(realtime):
    """At the rate at which it goes: 1.25 times real time, or real time."""
    seen = []

    class Known:
        label = "known"

        @asynccontextmanager
        async def open(self):
            async with speaker(60.0, live=False).open() as feed:
                feed.duration = 60.0
                yield feed

    async def look(call, room):
        await trio.sleep(20)
        seen.append((call.acknowledged, call.left))

    transcribe(source=Known(), seconds=60.0, act=look, call={"realtime": realtime})

    (acknowledged, left) = seen[0]
    assert left == pytest.approx((60.0 - acknowledged) / (1.0 if realtime else 1.25))
