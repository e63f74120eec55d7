"""A daemon from its start to its end: signals, drains, reloads and keys, with calls on all the while."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
import trio

from supervisor.config import CallConfig, Config, DeepgramConfig, IntakeConfig, LimitsConfig, SinkConfig
from supervisor.core.problem import Exit, Problem
from supervisor.core.settings import FleetSettings, RetrySettings, Settings
from supervisor.core.wav import header
from supervisor.credential import Credential
from supervisor.emulator.faults import Refuse, Reset
from supervisor.emulator.plan import Plan
from supervisor.events import CallEnded, SessionClosed, SessionOpened
from supervisor.intakes import Arrival
from supervisor.sinks.memory import MemorySink
from tests.daemon.hosting import PBX, Telephones, host
from tests.daemon.test_calls import whole
from tests.simulation import WIDE, speaker

# The end


def test_a_drain_lets_calls_end_takes_no_new_one_and_says_so():
    async def body(house):
        house.place("a", 30.0)
        await trio.sleep(5)
        house.signal(signal.SIGTERM)
        await trio.sleep(0.1)
        assert house.daemon.health().reasons == ["draining"]
        assert not house.intakes[0].open
        assert (await house.intakes[0].desk.take(Arrival("late", speaker(5.0)))).outcome == "refused"
        house.daemon.drain()  # again is no more than once

    house = host(body)

    whole(house, "a", 30.0)
    assert house.outcome is Exit.OK
    told = [state for _, state in house.notifier.lines]
    assert told.index("READY=1") < told.index("STOPPING=1") < told.index("EXTEND_TIMEOUT_USEC=60000000")
    assert "STATUS=draining, 1 call" in told
    assert told.count("STOPPING=1") == 1


def test_a_drain_that_takes_too_long_ends_the_sources_and_delivers_what_they_gave():
    async def body(house):
        house.place("a", 300.0)
        await trio.sleep(5)
        house.signal()

    house = host(body, config=Config(intakes=(PBX,), limits=LimitsConfig(drain_timeout=20.0)))

    audio = house.ended("a").audio
    assert audio.heard == audio.acknowledged == pytest.approx(25, abs=0.3)
    assert house.outcome is Exit.OK


def test_a_second_signal_does_not_wait_and_a_third_says_what_it_costs():
    async def twice(house):
        house.place("a", 300.0)
        await trio.sleep(5)
        house.signal()
        await trio.sleep(1)
        house.signal()

    house = host(twice)
    audio = house.ended("a").audio
    assert audio.heard == audio.acknowledged == pytest.approx(6, abs=0.3)
    assert house.outcome is Exit.OK

    async def thrice(house):
        await twice(house)
        house.signal()

    house = host(thrice)
    ended = house.ended("a")
    assert ended.outcome == "stopped"
    assert ended.audio.lost_frames > 0
    assert house.outcome is Exit.UNDELIVERED


def test_what_a_drain_could_not_deliver_is_the_exit_code():
    async def body(house):
        house.place("a", 20.0)
        await trio.sleep(5)
        house.signal()

    settings = Settings(retry=RetrySettings(give_up_after=60.0))
    house = host(body, Plan([Refuse(status=503)], then="repeat"), settings=settings)

    assert house.ended("a").outcome == "gave_up"
    assert house.outcome is Exit.GAVE_UP


def test_an_operator_may_drain_now():
    async def body(house):
        house.place("a", 300.0)
        await trio.sleep(5)
        house.daemon.drain(now=True)

    house = host(body)

    audio = house.ended("a").audio
    assert audio.heard == audio.acknowledged == pytest.approx(5, abs=0.3)


def test_nobody_on_the_line_holds_up_no_drain():
    async def body(house):
        house.place("silent", source=speaker(30.0, pauses=[(0.0, 1000.0)]))
        await trio.sleep(5)
        house.signal()
        await trio.sleep(3)
        assert house.daemon.calls() == []

    assert host(body).outcome is Exit.OK


# Another config


def reload(house, config):
    house.offered = config
    return house.daemon.reload()


def test_a_reload_changes_what_comes_and_nothing_that_is_there():
    before = Config(intakes=(PBX,), deepgram=DeepgramConfig(options={"language": "en"}))
    after = replace(before, deepgram=DeepgramConfig(options={"language": "de"}), limits=LimitsConfig(max_calls=2))

    async def body(house):
        house.place("before", 30.0)
        await trio.sleep(5)
        assert await reload(house, after) == []
        house.place("after", 10.0)
        await trio.sleep(1)
        assert house.daemon.health().reasons == ["2 of 2 calls"]
        await trio.sleep(60)

    house = host(body, [Reset(audio=10.0)], config=before)

    whole(house, "before", 30.0)
    whole(house, "after", 10.0)
    asked = [dict(connection.query)["language"] for connection in house.emulator.proof.connections]
    assert asked == ["en", "de", "en"]  # the call of before has its own still, in the session after the reset
    assert house.log.names.count("reloaded") == 1
    told = [state for _, state in house.notifier.lines]
    assert told.index("RELOADING=1") < len(told) - 1 - told[::-1].index("READY=1")


def test_doors_are_opened_closed_and_changed():
    other = IntakeConfig("other", "tcp", "127.0.0.1:9093")

    async def body(house):
        house.place("before", 30.0)
        await trio.sleep(2)
        changed = replace(PBX, metadata={"site": "Leeds"})
        assert await reload(house, Config(intakes=(changed, other))) == []
        assert len(house.intakes) == 2  # the one that stays where it is, is the one that was
        house.place("after", 5.0)
        house.place("elsewhere", 5.0, intake=1)
        await trio.sleep(1)
        assert house.view("after").metadata == {"site": "Leeds"}
        assert house.view("before").metadata == {}
        assert house.view("elsewhere").intake == "other"
        assert await reload(house, Config(intakes=(other,))) == []
        assert [telephones.open for telephones in house.intakes] == [False, True]
        await trio.sleep(60)

    house = host(body)

    whole(house, "before", 30.0)


@pytest.mark.parametrize(
    "offered, line",
    [
        (Problem("supervisor.toml is not TOML", "see the reference", Exit.CONFIG), "supervisor.toml is not TOML: see the reference"),
        (Config(intakes=(PBX,), sinks=(SinkConfig("stdout"), SinkConfig("files", directory="x"))), "[[sink]] has changed"),
        (Config(intakes=(PBX,), settings=Settings(fleet=FleetSettings(dials=3))), "[fleet] has changed"),
        (Config(intakes=(PBX, IntakeConfig("bad", "tcp", "127.0.0.1:1"))), "it cannot be opened"),
    ],
)
def test_a_reload_that_cannot_be_done_changes_nothing(offered, line, monkeypatch):
    async def body(house):
        make = house.hosting.doors._make

        def fussy(config, desk):
            telephones = make(config, desk)
            if config.name == "bad":

                async def refuse(**_):
                    raise Problem("it cannot be opened", "try another", Exit.CONFIG)

                telephones.run = refuse
            return telephones

        monkeypatch.setattr(house.hosting.doors, "_make", fussy)
        if isinstance(offered, Problem):

            def unreadable():
                raise offered

            monkeypatch.setattr(house.hosting._reloading, "_load", unreadable)
        generation = house.daemon.now
        lines = await reload(house, offered)
        assert line in lines[0]
        assert house.daemon.now is generation
        assert house.intakes[0].open
        house.place("a", 5.0)
        await trio.sleep(20)

    house = host(body)

    whole(house, "a", 5.0)
    assert "reload_failed" in house.log.names
    assert "stream_supervisor_config_reload_success 0.0" in house.hosting.metrics.render()[1].decode()


def test_a_listed_call_has_a_name_of_its_own_whoever_has_it_already(tmp_path):
    async def body(house):
        house.place("front-desk", 30.0)
        await trio.sleep(5)
        listed = CallConfig("front-desk", str(tmp_path / "absent.wav"))
        (tmp_path / "absent.wav").write_bytes(header(WIDE, 3200) + bytes(3200))
        assert await reload(house, Config(intakes=(PBX,), calls=(listed,))) == []
        house.place("front-desk", 5.0)
        await trio.sleep(60)

    house = host(body)

    whole(house, "front-desk", 30.0)
    assert house.outcome is not Exit.BUG


def test_sighup_reloads():
    async def body(house):
        house.offered = Config(intakes=(PBX,), limits=LimitsConfig(max_calls=7))
        house.signal(signal.SIGHUP)
        await trio.sleep(1)
        assert house.daemon.now.config.limits.max_calls == 7
        for _ in range(100):
            await house.signals.send(signal.SIGHUP)
        house.offered = replace(house.offered, limits=LimitsConfig(max_calls=8))
        await house.signals.send(signal.SIGHUP)
        await trio.sleep(1)
        assert house.daemon.now.config.limits.max_calls == 8
        assert not house.daemon.draining

    house = host(body)

    assert "reload_failed" not in house.log.names


def test_a_bug_in_a_reload_ends_no_call(monkeypatch):
    async def body(house):
        house.place("a", 20.0)
        await trio.sleep(5)

        def broken():
            raise ValueError("a bug")

        monkeypatch.setattr(house.hosting._reloading, "_load", broken)
        house.signal(signal.SIGHUP)
        (line,) = await house.daemon.reload()
        assert "bug" in line
        await trio.sleep(30)

    house = host(body)

    whole(house, "a", 20.0)
    assert "stream_supervisor_config_reload_success 0.0" in house.hosting.metrics.render()[1].decode()


class Leisurely(MemorySink):
    """Takes longer for its last writes than whoever is in a hurry has."""

    def __init__(self):
        super().__init__()
        self.heard_the_end = trio.Event()
        self.written = False

    def offer(self, event):
        super().offer(event)
        if isinstance(event, CallEnded):
            self.heard_the_end.set()

    async def run(self, *, task_status):
        await super().run(task_status=task_status)
        await trio.sleep(30)
        self.written = True


def test_sighup_at_the_very_end_is_nothing():
    """Not the end of the process, and no hurry for what is still to be written."""

    async def body(house):
        house.place("a", 5.0)
        await trio.sleep(1)
        house.signal()

        async def storm():
            await house.sink.heard_the_end.wait()
            for _ in range(50):  # while everything is being left
                await house.signals.send(signal.SIGHUP)
                await trio.lowlevel.checkpoint()
            await trio.sleep(10)  # and while the last is written
            await house.signals.send(signal.SIGHUP)

        trio.lowlevel.spawn_system_task(storm)

    for seed in range(4):
        house = host(body, seed=seed, sink=Leisurely())

        assert house.ended("a").outcome == "complete"
        assert house.outcome is Exit.OK
        assert house.sink.written


# Keys


def test_a_key_is_rotated_during_a_call_and_nothing_is_lost(tmp_path):
    """The next session has the new one, whether the server minds the old one or not."""
    key = tmp_path / "key"
    key.write_text("a" * 40)

    async def body(house):
        house.place("call", 60.0)
        await trio.sleep(20)
        key.write_text("b" * 40)
        house.emulator._api_key = "b" * 40
        assert await house.daemon.reload() == []
        await trio.sleep(80)

    house = host(
        body, [Reset(audio=10.0), Reset(audio=20.0)], credential=lambda: Credential("file", str(key)), api_key="a" * 40
    )

    whole(house, "call", 60.0)
    assert [event.status for event in house.of(SessionClosed) if event.status] == []
    assert len(house.of(SessionOpened)) == 3


@pytest.mark.parametrize("told", [True, False])
def test_a_refused_key_holds_calls_until_it_is_another_one(tmp_path, told):
    """By a reload at once; without one as soon as somebody looks."""
    key = tmp_path / "key"
    key.write_text("a" * 40)

    async def body(house):
        house.place("call", 120.0)
        await trio.sleep(5)
        house.emulator._api_key = "b" * 40
        await trio.sleep(55)
        assert len([event for event in house.of(SessionClosed) if event.status == 401]) == 2
        assert "key_refused" in house.log.names
        key.write_text("b" * 40)
        if told:
            assert await house.daemon.reload() == []
        await trio.sleep(15)
        assert house.view("call").state == "streaming"
        await trio.sleep(100)

    house = host(
        body, [Reset(audio=10.0)], credential=lambda: Credential("file", str(key)), api_key="a" * 40
    )

    whole(house, "call", 120.0)
    assert "key_free" in house.log.names


def test_the_end_tells_of_every_call():
    async def body(house):
        for number in range(5):
            house.place(f"call-{number}", 20.0)
        await trio.sleep(10)
        house.daemon.drain(now=True)

    house = host(body)

    assert len(house.of(CallEnded)) == 5
    audio = house.hosting.metrics.audio()
    assert audio.heard == pytest.approx(sum(event.audio.heard for event in house.of(CallEnded)))
    assert audio.heard == pytest.approx(audio.acknowledged)


# All at once


def slowly(monkeypatch, seconds, meanwhile=lambda _: None):
    """Intakes that take their time to open, as a directory on a slow disk does."""
    run = Telephones.run

    async def later(telephones, *, task_status):
        meanwhile(telephones.desk.daemon)
        await trio.sleep(seconds)
        await run(telephones, task_status=task_status)

    monkeypatch.setattr(Telephones, "run", later)


@pytest.mark.parametrize("end", ["drain", "now"])
def test_a_drain_during_a_reload_lets_nobody_in_and_ends(end, tmp_path, monkeypatch):
    other = IntakeConfig("other", "tcp", "127.0.0.1:9093")
    (tmp_path / "a.wav").write_bytes(header(WIDE, 3200) + bytes(3200))

    async def body(house):
        house.place("a", 20.0)
        slowly(monkeypatch, 2.0)
        await trio.sleep(5)
        async with trio.open_nursery() as nursery:

            async def change():
                listed = CallConfig("listed", str(tmp_path / "a.wav"))
                lines = await reload(house, Config(intakes=(PBX, other), calls=(listed,)))
                assert lines == ["this daemon is draining: start it anew"]

            nursery.start_soon(change)
            await trio.sleep(1)
            house.daemon.drain(now=end == "now")
        assert [telephones.open for telephones in house.intakes] == [False, False]

    house = host(body)

    assert [event.call_id for event in house.of(CallEnded)] == ["a"]
    assert house.ended("a").audio.acknowledged == pytest.approx(20.0 if end == "drain" else 6.0, abs=0.3)
    assert house.outcome is Exit.OK


def test_told_to_end_before_it_is_open_it_begins_nothing(tmp_path, monkeypatch):
    slowly(monkeypatch, 2.0, meanwhile=lambda daemon: daemon.drain())
    (tmp_path / "a.wav").write_bytes(header(WIDE, 3200) + bytes(3200))
    listed = CallConfig("listed", str(tmp_path / "a.wav"))

    house = host(None, config=Config(intakes=(PBX,), calls=(listed,)))

    assert house.events == []
    assert "READY=1" not in [state for _, state in house.notifier.lines]
    assert house.outcome is Exit.OK


def test_a_reload_while_it_opens_waits_its_turn(monkeypatch):
    """Or both would open the same doors."""
    asked = []

    def ask(daemon):
        if not asked:
            asked.append(daemon)
            trio.lowlevel.spawn_system_task(daemon.reload)

    slowly(monkeypatch, 2.0, meanwhile=ask)

    async def body(house):
        await trio.sleep(5)
        house.place("a", 5.0)
        await trio.sleep(20)

    house = host(body)

    whole(house, "a", 5.0)
    assert len(house.intakes) == 1
    assert [state for _, state in house.notifier.lines if state in ("READY=1", "RELOADING=1")] == ["READY=1", "RELOADING=1", "READY=1"]


def test_told_to_end_while_a_source_is_waited_for_it_is_not_ready_any_more(tmp_path):
    os.mkfifo(tmp_path / "line")
    listed = CallConfig("listed", f"fifo:{tmp_path / 'line'}")

    async def body(house):
        await trio.sleep(1)
        house.signal()

    house = host(body, config=Config(intakes=(PBX,), calls=(listed,)))

    assert "READY=1" not in [state for _, state in house.notifier.lines]
    assert house.outcome is Exit.OK


def test_where_one_door_cannot_be_opened_none_is_left_open(monkeypatch):
    new = [IntakeConfig(name, "tcp", f"127.0.0.1:{port}") for port, name in enumerate(("first", "bad", "third"), 9093)]
    run = Telephones.run

    async def fussy(telephones, **status):
        if telephones.config.name == "bad":
            raise Problem("it cannot be opened", "try another", Exit.CONFIG)
        await run(telephones, **status)

    monkeypatch.setattr(Telephones, "run", fussy)

    async def body(house):
        for _ in range(2):
            assert await reload(house, Config(intakes=(PBX, *new))) == ["it cannot be opened: try another"]
        assert {each.config.name for each in house.intakes if each.open} == {"pbx", "bad"}  # which never was

    assert host(body).outcome is Exit.OK


def test_a_listed_call_that_is_about_to_begin_has_its_name_already(tmp_path):
    (tmp_path / "a.wav").write_bytes(header(WIDE, 3200) + bytes(3200))
    listed = CallConfig("a", str(tmp_path / "a.wav"))

    async def body(house):
        house.offered = Config(intakes=(PBX,), calls=(listed,))
        begin = house.hosting._reloading._begin

        def at_that_moment(config):
            house.place("a", 5.0)
            return begin(config)

        house.hosting._reloading._begin = at_that_moment
        assert await house.daemon.reload() == []
        await trio.sleep(30)

    for seed in range(4):
        house = host(body, seed=seed)

        assert sorted(event.call_id for event in house.of(CallEnded)) == ["a", "a~2"]
        assert house.outcome is Exit.OK
