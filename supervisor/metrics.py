"""What Prometheus is told: counters that add up to the events, and gauges of the moment. Nothing about one call.

Seconds of audio are summed over the calls that have ended and those that run, at the moment somebody looks, so they
are right to the sample frame and cost a call nothing. Every label is from a set that does not grow with calls, and
every series is there from the start, or its first event would be no increase.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, get_args

import trio
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from . import __version__
from .core.account import Account
from .core.catalogue import TABLE, entry_of
from .core.closure import Closure, Verdict
from .events import CallEnded, CallStarted, Event, GapReason, SessionClosed, Transcript
from .intakes import REJECTIONS, Rejection

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each one, which the process's start time makes needless
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # what every scraper understands
PREFIX = "stream_supervisor"
STATES = ("opening", "listening", "dialling", "streaming", "waiting")  # of a call (`call.Call.status`)
OUTCOMES = ("complete", "aborted", "gave_up", "stopped")
REASONS: tuple[str, ...] = tuple(reason for reason in get_args(GapReason) if reason != "paused")  # that is withheld, not lost
ANSWERS = ("101", "400", "401", "402", "403", "404", "408", "429", "500", "502", "503", "504", "none")
BREAKER = {"closed": 0.0, "half-open": 1.0, "open": 2.0}
AUDIO = {
    "heard": "Audio that calls brought.",
    "acknowledged": "Audio that is finally transcribed.",
    "withheld": "Audio that a pause kept back.",
    "replayed": "Audio that was sent again to a later session.",
    "injected": "Silence that was sent to hold a session.",
}
SHORT = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
LONG = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
LAG = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class View(Protocol):
    """The daemon at this moment."""

    def accounts(self) -> Iterable[Account]:
        """Of the calls that run."""
        ...

    def states(self) -> Mapping[str, int]: ...

    @property
    def buffer_bytes(self) -> int: ...

    @property
    def buffer_limit(self) -> int: ...

    def breakers(self) -> Mapping[str, str]:
        """Of each endpoint: closed, half-open or open."""
        ...

    def governors(self) -> Mapping[str, int | None]:
        """The sessions that each key may have, as far as a server has told."""
        ...

    def refused_keys(self) -> int: ...

    def backlogs(self) -> Mapping[str, int]:
        """The events that each sink has accepted and not written."""
        ...


class Metrics:
    """Fed by the daemon (it is a `core.meter.Meter` too), and rendered for whoever asks."""

    def __init__(self) -> None:
        self.view: View | None = None
        self._registry = CollectorRegistry(auto_describe=False)
        self._done = Account()  # of all calls that have ended
        self._intakes: set[str] = set()
        self._told: dict[str, float] = {}
        self.resulted = time.time()  # when a result last came, or the process began
        self._started = self._counter("calls_started", "Calls that began, by the intake that brought them.", "intake")
        self._ended = self._counter("calls_ended", "Calls that ended, by how.", "intake", "outcome")
        self._closures = self._counter("session_closures", "Sessions that ended, by what was seen of it.", "class", "verdict")
        self._handshakes = self._counter("handshakes", "Attempts to open a session, by the HTTP status that answered.", "status")
        self._rejected = self._counter("connections_rejected", "Connections that became no call, or spoiled one.", "intake", "reason")
        self._dial = self._histogram("dial_seconds", "From the beginning of a dial to an open session.", SHORT)
        self._latency = self._histogram("result_latency_seconds", "From audio that was sent to an interim about it.", SHORT)
        self._recovery = self._histogram("recovery_seconds", "From a session's unasked end to the next final.", LONG)
        self._lag = self._histogram("loop_lag_seconds", "How late the event loop was.", LAG)
        self._reload = self._gauge("config_reload_success", "1 if the last reload worked, or there was none.")
        self._reloaded = self._gauge("config_reload_timestamp_seconds", "When the config was last taken up.")
        self._reload.set(1)
        self._reloaded.set(time.time())
        info = Gauge(f"{PREFIX}_build_info", "What runs.", ("version", "python", "trio"), registry=self._registry)
        info.labels(__version__, platform.python_version(), trio.__version__).set(1)
        for status in (*ANSWERS, "other"):
            self._handshakes.labels(status)
        for name in TABLE:
            for verdict in Verdict:
                self._closures.labels(name, verdict.value)
        self._registry.register(_Moment(self))
        ProcessCollector(registry=self._registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", documentation, labels, registry=self._registry)

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", documentation, registry=self._registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", documentation, buckets=buckets, registry=self._registry)

    # What it is fed

    def known(self, intake: str) -> None:
        """There is such an intake: its series begin at 0."""
        if intake in self._intakes:
            return
        self._intakes.add(intake)
        self._started.labels(intake)
        for outcome in OUTCOMES:
            self._ended.labels(intake, outcome)
        for reason in REJECTIONS:
            self._rejected.labels(intake, reason)

    def event(self, event: Event, intake: str) -> None:
        """One of a call's, as it is told."""
        match event:
            case Transcript():
                self.resulted = time.time()
            case SessionClosed():
                self._closures.labels(class_of(event), event.verdict).inc()
            case CallStarted():
                self.known(intake)
                self._started.labels(intake).inc()
            case CallEnded():
                self._ended.labels(intake, event.outcome).inc()
            case _:
                pass

    def ended(self, intake: str, account: Account) -> None:
        """A call is over, and this is where its audio went."""
        self.known(intake)
        self._done = total((self._done, account))

    def rejected(self, intake: str, reason: Rejection) -> None:
        self.known(intake)
        self._rejected.labels(intake, reason).inc()

    def reloaded(self, worked: bool) -> None:
        self._reload.set(worked)
        if worked:
            self._reloaded.set(time.time())

    def lag(self, seconds: float) -> None:
        self._lag.observe(seconds)

    def dialled(self, seconds: float, answer: str) -> None:
        self._handshakes.labels(answer if answer in ANSWERS else "other").inc()
        if answer == "101":
            self._dial.observe(seconds)

    def result(self, latency: float) -> None:
        self.resulted = time.time()
        self._latency.observe(max(0.0, latency))

    def recovered(self, seconds: float) -> None:
        self._recovery.observe(seconds)

    # What it tells

    def audio(self) -> Account:
        """Where the audio of all calls has gone, those that run included."""
        return total((self._done, *(self.view.accounts() if self.view else ())))

    def rising(self, name: str, value: float) -> float:
        """A counter that falls, be it by the last bit of a sum, would look like one that began again."""
        self._told[name] = max(value, self._told.get(name, 0.0))
        return self._told[name]

    def render(self) -> tuple[str, bytes]:
        """The content type, and the text (Prometheus text format 0.0.4)."""
        return CONTENT_TYPE, generate_latest(self._registry)


class _Moment(Collector):
    """What is looked up when somebody asks."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        metrics, view = self._metrics, self._metrics.view
        audio = metrics.audio()
        for name, documentation in AUDIO.items():
            seconds = metrics.rising(name, getattr(audio, name))
            yield CounterMetricFamily(f"{PREFIX}_{name}_seconds", documentation, value=seconds)
        lost = {reason: metrics.rising(reason, audio.lost.get(reason, 0.0)) for reason in REASONS}
        yield _by(CounterMetricFamily, "audio_lost_seconds", "Audio that will never be transcribed.", "reason", lost)
        yield _now("last_result_timestamp_seconds", "When a result last came; before the first, when the process began.", metrics.resulted)
        if view is None:
            return
        states = {state: float(view.states().get(state, 0)) for state in STATES}
        yield _by(GaugeMetricFamily, "calls", "Calls that run, by what they are doing.", "state", states)
        behind = max((account.behind for account in view.accounts()), default=0.0)
        yield _now("behind_seconds_max", "Audio that the call furthest behind has heard and nobody has transcribed.", behind)
        yield _now("buffer_bytes", "Audio in memory.", view.buffer_bytes)
        yield _now("buffer_limit_bytes", "The most audio that may be in memory; 0 = no limit.", view.buffer_limit)
        yield _now("refused_keys", "Keys that the server refuses, until a reload.", view.refused_keys())
        breakers = {endpoint: BREAKER[state] for endpoint, state in view.breakers().items()}
        yield _by(GaugeMetricFamily, "breaker_state", "0 closed, 1 half-open, 2 open.", "endpoint", breakers)
        limits = {key: float(limit) for key, limit in view.governors().items() if limit is not None}
        yield _by(GaugeMetricFamily, "governor_limit", "Sessions that a key may have, once a 429 has told.", "key", limits)
        backlogs = {name: float(count) for name, count in view.backlogs().items()}
        yield _by(GaugeMetricFamily, "sink_backlog", "Events accepted and not yet written.", "sink", backlogs)


def _now(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", documentation, value=value)


def _by(family: Callable[..., Any], name: str, documentation: str, label: str, values: Mapping[str, float]) -> Metric:
    metric = family(f"{PREFIX}_{name}", documentation, labels=(label,))
    for key, value in values.items():
        metric.add_metric((key,), value)
    assert isinstance(metric, Metric)
    return metric


def total(accounts: Iterable[Account]) -> Account:
    """The sum, by reason where audio was lost."""
    figures = dict.fromkeys(AUDIO, 0.0)
    lost: dict[str, float] = {}
    for account in accounts:
        for name in figures:
            figures[name] += getattr(account, name)
        for reason, seconds in account.lost.items():
            lost[reason] = lost.get(reason, 0.0) + seconds
    return Account(**figures, lost=lost)


def class_of(event: SessionClosed) -> str:
    """The catalogue's key of this end: a payload, a close code, an HTTP status, or what our own side saw.

    The advice begins with it. Where there is none of the table's, the server was asked for this end.
    """
    key = event.advice.partition(",")[0]
    if key in TABLE:
        return key
    closure = Closure(
        code=event.code,
        reason=event.reason,
        status=event.status,
        opened=event.uptime > 0,
        finishing=True,
        server_heard=event.server_heard,
        sent=event.sent,
    )
    return entry_of(closure).key
