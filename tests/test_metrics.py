"""What Prometheus is told: it adds up, never falls, and grows with nothing that callers can choose."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from functools import partial

import pytest
from prometheus_client.parser import text_string_to_metric_families

from supervisor.call import Call
from supervisor.core.account import Account
from supervisor.core.audio import AudioFormat
from supervisor.core.catalogue import TABLE, entry_of
from supervisor.core.closure import Closure
from supervisor.core.dialect import LISTEN_V1
from supervisor.core.judge import Judge
from supervisor.core.settings import BufferSettings, Settings
from supervisor.emulator.faults import Refuse, Reset
from supervisor.emulator.plan import Plan
from supervisor.events import CallEnded, SessionClosed, Transcript
from supervisor.metrics import STATES, Metrics, class_of
from supervisor.telling import Telling
from tests.simulation import in_room, simulate, speaker


@dataclass
class Moment:
    running: list = field(default_factory=list)
    buffer_bytes: int = 5
    buffer_limit: int = 10

    def accounts(self):
        return list(self.running)

    def states(self):
        return {"streaming": len(self.running)}

    def breakers(self):
        return {"wss://x:443": "half-open"}

    def governors(self):
        return {"file:/key": 7, "env:OTHER": None}

    def refused_keys(self):
        return 1

    def backlogs(self):
        return {"files": 3}


def series(metrics):
    """Every sample there is, by its name and labels as text."""
    return {
        f"{sample.name}{''.join(f'[{value}]' for _, value in sorted(sample.labels.items()))}": sample.value
        for family in text_string_to_metric_families(metrics.render()[1].decode())
        for sample in family.samples
        if sample.name.startswith("stream_supervisor_")
    }


def test_every_promised_metric_is_there_from_the_start():
    metrics = Metrics()
    metrics.known("pbx")
    metrics.view = Moment()
    names = {re.sub(r"\[.*", "", name).removeprefix("stream_supervisor_") for name in series(metrics)}

    promised = """calls calls_started_total calls_ended_total heard_seconds_total acknowledged_seconds_total
        audio_lost_seconds_total withheld_seconds_total replayed_seconds_total injected_seconds_total behind_seconds_max
        session_closures_total handshakes_total dial_seconds_count result_latency_seconds_count recovery_seconds_count
        buffer_bytes buffer_limit_bytes breaker_state governor_limit sink_backlog loop_lag_seconds_count
        last_result_timestamp_seconds config_reload_success build_info connections_rejected_total refused_keys"""
    assert set(promised.split()) <= names


def test_gauges_show_the_moment():
    metrics = Metrics()
    metrics.view = Moment([Account(heard=30.0, acknowledged=20.0, withheld=4.0, lost={"overflow": 1.0}), Account(heard=2.0)])
    found = series(metrics)

    assert found["stream_supervisor_behind_seconds_max"] == 5.0
    assert found["stream_supervisor_calls[streaming]"] == 2
    assert {f"stream_supervisor_calls[{state}]" for state in STATES} <= found.keys()
    assert found["stream_supervisor_breaker_state[wss://x:443]"] == 1
    assert found["stream_supervisor_governor_limit[file:/key]"] == 7
    assert "stream_supervisor_governor_limit[env:OTHER]" not in found
    assert found["stream_supervisor_sink_backlog[files]"] == 3
    assert (found["stream_supervisor_buffer_bytes"], found["stream_supervisor_buffer_limit_bytes"]) == (5, 10)


def test_a_call_that_ends_goes_on_counting():
    metrics, running = Metrics(), Account(heard=0.1 + 0.2, acknowledged=0.3, lost={"overflow": 0.7})
    view = metrics.view = Moment([Account(heard=0.1), running, Account(heard=1e9)])
    before = series(metrics)
    view.running.remove(running)
    metrics.ended("pbx", running)
    after = series(metrics)

    for name in ("heard_seconds_total", "acknowledged_seconds_total", "audio_lost_seconds_total[overflow]"):
        name = f"stream_supervisor_{name}"
        assert before[name] <= after[name] <= before[name] + 1e-6


def test_a_counter_never_falls_by_the_order_of_a_sum():
    metrics = Metrics()
    accounts = [Account(heard=0.1 * number) for number in range(1, 300)]
    view = metrics.view = Moment(accounts)
    seen = [series(metrics)["stream_supervisor_heard_seconds_total"]]
    while accounts:
        metrics.ended("pbx", view.running.pop(len(accounts) // 2))
        seen.append(series(metrics)["stream_supervisor_heard_seconds_total"])

    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(0.1 * 299 * 300 / 2)


@pytest.mark.parametrize(
    "plan, settings",
    [
        ([Reset(audio=4.0), Refuse(status=503), Reset(audio=6.0)], Settings()),
        (Plan([Refuse(status=503)], then="repeat"), Settings(buffer=BufferSettings(seconds=10.0))),
        ([Refuse(status=400)], Settings()),
    ],
)
def test_they_add_up_to_the_events(plan, settings):
    metrics = Metrics()

    async def body(room):
        spec = room.spec(source=speaker(40.0), settings=settings, hear=lambda event: metrics.event(event, "pbx"))
        call = Call(spec, room.world)
        await call.run()
        metrics.ended("pbx", call.account)
        return room.events

    events = simulate(partial(in_room, body, plan if isinstance(plan, Plan) else Plan(plan)))
    found = series(metrics)
    (ended,) = [event for event in events if isinstance(event, CallEnded)]
    closures = [event for event in events if isinstance(event, SessionClosed)]

    for name in ("heard", "acknowledged", "withheld", "replayed", "injected"):
        assert found[f"stream_supervisor_{name}_seconds_total"] == pytest.approx(getattr(ended.audio, name))
    lost = sum(value for name, value in found.items() if name.startswith("stream_supervisor_audio_lost_seconds_total"))
    assert lost == pytest.approx(ended.audio.lost)
    assert found[f"stream_supervisor_calls_ended_total[pbx][{ended.outcome}]"] == 1
    assert found["stream_supervisor_calls_started_total[pbx]"] == 1
    counted = {name: value for name, value in found.items() if "session_closures_total" in name and value}
    assert sum(counted.values()) == len(closures)
    for closed in closures:
        assert counted[f"stream_supervisor_session_closures_total[{class_of(closed)}][{closed.verdict}]"] >= 1


def test_labels_come_from_closed_sets():
    metrics = Metrics()
    for status in ("101", "418", "599", "none", "x" * 100):
        metrics.dialled(0.1, status)
    found = series(metrics)

    assert found["stream_supervisor_handshakes_total[other]"] == 3
    assert found["stream_supervisor_dial_seconds_count"] == 1
    assert {re.search(r"\[(.*?)\]", name)[1] for name in found if "session_closures" in name} == set(TABLE)


WORDS = {  # of what our own side saw, before a session was open and while it was
    "dns": "Name or service not known", "refused": "[Errno 111] Connection refused", "tls": "certificate has expired",
    "proxy": "the proxy did not answer", "upgrade": "hung up during the upgrade", "dial": "no route to host",
    "ping": "no answer to a ping within 5 s", "results": "no results for 8 s", "stalled": "a frame was not taken in 5 s",
    "patience": "no end within 10 s of CloseStream", "ended": "given up",
}  # fmt: skip
BEFORE = ("dns", "refused", "tls", "proxy", "upgrade", "dial")


def closure_of(key):
    """One that the catalogue knows by this key."""
    if re.fullmatch(r"\dxx|[1-5]\d\d", key):
        return Closure(status={"1xx": 103, "2xx": 204, "3xx": 302, "4xx": 418, "5xx": 599}.get(key) or int(key))
    if key in WORDS:
        after = key not in BEFORE
        return Closure(reason=WORDS[key], opened=after, uptime=3.0 * after)
    opened = {"opened": True, "uptime": 3.0}
    match key:
        case "key":
            return Closure(reason="no Deepgram key: $DEEPGRAM_API_KEY is not set", unkeyed=True)
        case "unknown":
            return Closure(code=2999, **opened)
        case "4xxx":
            return Closure(code=4321, **opened)
        case "1011-ping":
            return Closure(code=1011, reason="keepalive ping timeout", **opened)
        case "1000-asked" | "1005-asked":
            return Closure(code=int(key[:4]), finishing=True, metadata=True, server_heard=9.0, sent=9.0, **opened)
    return Closure(code=int(key), **opened) if key.isdigit() else Closure(code=1011, reason=key, **opened)


# A call that is over asks for its end, and needs no key any more.
OVER = [(key, 0.0) for key in TABLE if key not in ("1000", "1005", "key")]


@pytest.mark.parametrize("key, tail", [*((key, tail) for key in TABLE for tail in (0.4, 7.0)), *OVER])
def test_a_closure_is_counted_as_what_it_is_explained_as(key, tail):
    """Whatever the verdict is, and whether the call is over by it."""
    closure = closure_of(key)
    events = []
    telling = Telling("c", AudioFormat("linear16", 8000), 1, events.append, lambda: "")
    judgement = Judge(LISTEN_V1, {}).judge(closure, ended=True, tail=tail)
    telling.session_closed(
        judgement, session=1, attempt=1, retry_in=None, keepalives=0, last_audio_age=None, last_result_age=None, backlog=0
    )

    assert entry_of(closure).key == key
    assert class_of(events[0]) == key


def transcript(**more):
    fields = {"call_id": "c", "time": "", "seq": None, "segment": 0, "channel": 0, "start": 0.0, "end": 1.0, "text": ""}
    fields |= {"is_final": True, "speech_final": False, "confidence": 1.0, "words": [], "session": 1, "request_id": ""}
    return Transcript(**fields, replayed=False, **more)


@pytest.mark.parametrize("tell", [lambda metrics: metrics.result(0.3), lambda metrics: metrics.event(transcript(), "pbx")])
def test_when_a_result_last_came(tell, monkeypatch):
    """From the beginning on: a process that has never had one is not one that had it in 1970."""
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    metrics = Metrics()
    metrics.view = Moment()
    first = series(metrics)["stream_supervisor_last_result_timestamp_seconds"]
    now += 100
    still = series(metrics)["stream_supervisor_last_result_timestamp_seconds"]
    tell(metrics)

    assert (first, still) == (1_800_000_000.0, 1_800_000_000.0)
    assert series(metrics)["stream_supervisor_last_result_timestamp_seconds"] == now


def test_what_a_reload_came_to():
    metrics = Metrics()
    metrics.reloaded(False)
    assert series(metrics)["stream_supervisor_config_reload_success"] == 0
    metrics.reloaded(True)
    assert series(metrics)["stream_supervisor_config_reload_success"] == 1
