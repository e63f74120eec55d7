"""A receiver that fails, refuses, lies or is away: each event reaches it once and in order, or is given up loudly."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
import trio.testing

from supervisor.core.problem import Exit, Problem
from supervisor.credential import Credential
from supervisor.events import Event
from supervisor.sinks import signing
from supervisor.sinks.encoding import json_line
from supervisor.sinks.outbox import Boxed
from supervisor.sinks.posting import Answer
from supervisor.sinks.webhook import GIVE_UP_AFTER, LARGEST, LONGEST, MOST, WebhookSink, webhook_sink
from tests.network.tcp import real
from tests.sinks.making import Log, ended, guessed, said, started
from tests.sinks.test_posting import Server

FINALS = [said(str(number), segment=number) for number in range(5)]
Reply = Answer | OSError | float  # seconds = it takes so long to answer

TAKEN = Answer(204)


@dataclass
class Receiver:
    """Answers by a script, and then by what `then` says; knows what it has taken."""

    script: list[Reply] = field(default_factory=list)
    then: Reply | Callable[[bytes], Reply] = TAKEN
    posts: list[tuple[float, bytes, Mapping[str, str]]] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)  # the texts
    flying: int = 0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Any]:
        yield self.post

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        self.posts.append((trio.current_time(), body, headers))
        assert self.flying == 0, "one batch at a time"
        self.flying += 1
        try:
            reply = self.script.pop(0) if self.script else self.then(body) if callable(self.then) else self.then
            if isinstance(reply, float):
                await trio.sleep(reply)
                reply = Answer(200)
            await trio.lowlevel.checkpoint()
        finally:
            self.flying -= 1
        if isinstance(reply, OSError):
            raise reply
        if 200 <= reply.status < 300:
            self.taken += [event.get("text", event["type"]) for event in json.loads(body)]
        return reply

    @property
    def keys(self) -> list[str]:
        return [headers["Idempotency-Key"] for _, _, headers in self.posts]

    @property
    def times(self) -> list[float]:
        return [at - self.posts[0][0] for at, _, _ in self.posts]


class Ran:
    """A sink that was offered some events, and what came of it on a simulated clock."""

    def __init__(
        self, receiver: Receiver, events: Iterable[Event | float], *, secret: Sequence[bytes | Problem] = (b"secret",), **more: Any
    ) -> None:
        """A number among the events is a wait of so many seconds; the sink is closed after the last of them."""
        self.log = Log()
        self.left: list[Event] = []
        self.failed: list[str] = []
        self.problem: Problem | None = None
        self._secrets = list(secret)
        self.sink = WebhookSink(
            receiver.opened, self._secret, log=self.log.log, chance=random.Random(1), where="https://example.com",
            wall=lambda: 1767225600.5 + trio.current_time() - self._began, **more,
        )  # fmt: skip
        self.sink.owner = self
        clock = trio.testing.MockClock(autojump_threshold=0)
        self._began = clock.current_time()
        trio.run(self._main, list(events), clock=clock)

    async def _main(self, events: Sequence[Event | float]) -> None:
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.sink.run)
                for event in events:
                    if isinstance(event, float):
                        await trio.sleep(event)
                    else:
                        self.sink.offer(event)
                self.closed_at = trio.current_time()
                self.sink.close()
        except* Problem as group:
            problem = group.exceptions[0]
            assert isinstance(problem, Problem)
            self.problem = problem
        self.took = trio.current_time() - getattr(self, "closed_at", self._began)

    async def _secret(self) -> bytes:
        secret = self._secrets.pop(0) if len(self._secrets) > 1 else self._secrets[0]
        if isinstance(secret, Problem):
            raise secret
        return secret

    def given_up(self, _sink: Boxed, events: Sequence[Event]) -> None:
        self.left += events

    def call_failed(self, _sink: Boxed, call_id: str, _problem: Problem) -> None:
        self.failed.append(call_id)

    def behind(self, _sink: Boxed, _behind: bool) -> None:
        pass


class TestAMessage:
    def test_it_is_an_array_of_the_events_each_as_a_file_would_have_it(self) -> None:
        receiver = Receiver()
        events = [started(), said("Grüße, \u2028 \x1b", segment=1), ended()]
        Ran(receiver, events)
        (_, body, headers), = receiver.posts

        assert body == b"[" + b",\n".join(json_line(event).rstrip() for event in events) + b"]"
        assert [event["type"] for event in json.loads(body)] == ["call_started", "transcript", "call_ended"]
        assert headers["Content-Type"] == "application/json"

    def test_its_signature_is_of_the_time_and_the_very_bytes(self) -> None:
        receiver = Receiver()
        Ran(receiver, FINALS, secret=[b"whsec"])
        (_, body, headers), = receiver.posts
        expected = hmac.new(b"whsec", b"1767225600." + body, hashlib.sha256).hexdigest()

        assert headers["Stream-Supervisor-Signature"] == f"t=1767225600,v1={expected}"

    def test_a_receiver_that_does_as_it_is_told_can_verify_it(self) -> None:
        """The lines of `signing`, as they stand there."""
        code = "\n".join(line[4:] for line in (signing.__doc__ or "").splitlines() if line.startswith("    "))
        receiver = Receiver()
        Ran(receiver, FINALS)
        (_, body, headers), = receiver.posts

        def genuine(body: bytes, at: float, secret: bytes = b"secret") -> bool:
            scope: dict[str, Any] = {
                "hmac": hmac, "body": body, "secret": secret, "header": headers["Stream-Supervisor-Signature"],
                "time": type("", (), {"time": lambda: at}),
            }  # fmt: skip
            exec(code, scope)
            return bool(scope["genuine"])

        assert genuine(body, 1767225600 + 299)
        assert not genuine(body, 1767225600 + 301)
        assert not genuine(body + b" ", 1767225600)
        assert not genuine(body, 1767225600, b"another")

    def test_what_comes_while_one_is_on_its_way_goes_with_the_next(self) -> None:
        receiver = Receiver([10.0])
        Ran(receiver, [FINALS[0], 1.0, *FINALS[1:3], 1.0, *FINALS[3:]])

        assert [len(json.loads(body)) for _, body, _ in receiver.posts] == [1, 4]
        assert receiver.taken == ["0", "1", "2", "3", "4"]

    def test_it_is_bounded_in_events_and_in_bytes(self) -> None:
        receiver = Receiver([1.0])
        long = [said("x" * 60_000, segment=number) for number in range(20)]
        Ran(receiver, [FINALS[0], 0.5, *(said("s", segment=number) for number in range(2 * MOST + 1)), *long])

        assert max(len(json.loads(body)) for _, body, _ in receiver.posts) == MOST
        assert max(len(body) for _, body, _ in receiver.posts) <= LARGEST + 2
        assert len(receiver.taken) == 1 + 2 * MOST + 1 + 20

    def test_an_event_that_is_larger_than_a_message_should_be_goes_alone(self) -> None:
        receiver = Receiver()
        Ran(receiver, [said("x" * (LARGEST + 1)), said("y", segment=1)])

        assert [len(json.loads(body)) for _, body, _ in receiver.posts] == [1, 1]

    def test_guesses_are_sent_only_where_they_are_wanted(self) -> None:
        receiver, other = Receiver(), Receiver()
        Ran(receiver, [guessed("gu"), said("guess", segment=1)])
        Ran(other, [guessed("gu"), said("guess", segment=1)], interims=True)

        assert (receiver.taken, other.taken) == (["guess"], ["gu", "guess"])


@pytest.mark.parametrize(
    "reply", [OSError("connection refused"), TimeoutError("no answer within 15 s"), *map(Answer, [408, 425, 429, 500, 502, 503, 504, 599])]
)
def test_what_may_pass_is_tried_again_with_the_same_bytes_under_the_same_key(reply: Reply) -> None:
    receiver = Receiver([reply] * 3)
    ran = Ran(receiver, [*FINALS, 3600.0, said("later", segment=9)])
    signatures = [headers["Stream-Supervisor-Signature"] for _, _, headers in receiver.posts]

    assert receiver.taken == ["0", "1", "2", "3", "4", "later"]
    assert len(set(receiver.keys[:4])) == 1
    assert len({body for _, body, _ in receiver.posts[:4]}) == 1
    assert receiver.keys[4] != receiver.keys[3]
    assert len(set(signatures)) > 2  # each with its own time
    assert ran.log.names == ["output_stuck", "output_works_again"]
    assert (ran.left, ran.problem) == ([], None)


def test_its_waits_grow_and_are_never_longer_than_half_a_minute() -> None:
    receiver = Receiver([OSError("refused")] * 40)
    Ran(receiver, [FINALS[0], 3600.0])
    waits = [b - a for a, b in zip(receiver.times, receiver.times[1:], strict=False)]

    assert waits[0] <= 0.5
    assert all(wait <= 0.5 * 2**number for number, wait in enumerate(waits[:6]))
    assert max(waits) <= LONGEST
    assert max(waits) > LONGEST / 2


@pytest.mark.parametrize("asked, obeyed", [(7.0, 7.0), (1e9, 300.0)])
def test_a_retry_after_is_obeyed_within_reason(asked: float, obeyed: float) -> None:
    receiver = Receiver([Answer(429, retry_after=asked)])
    Ran(receiver, [FINALS[0], 3600.0])

    assert obeyed <= receiver.times[1] <= obeyed + 0.5


class TestRefused:
    @pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 410, 422])
    def test_a_batch_that_is_refused_is_given_up_and_those_behind_it_are_not(self, status: int) -> None:
        receiver = Receiver([Answer(status)])
        ran = Ran(receiver, [FINALS[0], 1.0, *FINALS[1:]])

        assert receiver.taken == ["1", "2", "3", "4"]
        assert ran.left == FINALS[:1]
        assert (ran.log.names[0], ran.log.entries[0]["reason"]) == ("output_refuses", f"HTTP {status}")
        assert len(set(receiver.keys)) == 2

    def test_a_receiver_that_refuses_everything_is_told_of_once(self) -> None:
        receiver = Receiver(then=Answer(404))
        ran = Ran(receiver, [each for event in FINALS for each in (event, 1.0)])

        assert ran.left == FINALS
        assert ran.log.names == ["output_refuses"]

    def test_of_one_that_is_too_large_each_half_is_sent(self) -> None:
        def reply(body: bytes) -> Answer:
            return Answer(413 if len(json.loads(body)) > 3 else 200)

        receiver = Receiver(then=reply)
        ran = Ran(receiver, [said(str(number), segment=number) for number in range(40)])

        assert receiver.taken == [str(number) for number in range(40)]
        assert ran.left == []
        assert len(receiver.posts) < 40
        assert len(set(receiver.keys)) == len(receiver.posts)  # other bytes, another key

    def test_a_single_event_that_is_too_large_is_given_up(self) -> None:
        receiver = Receiver(then=lambda body: Answer(413 if b'"2"' in body else 200))
        ran = Ran(receiver, FINALS)

        assert receiver.taken == ["0", "1", "3", "4"]
        assert ran.left == [FINALS[2]]

    def test_a_batch_that_breaks_its_receiver_each_time_does_not_stand_in_the_way_for_ever(self) -> None:
        receiver = Receiver(then=lambda body: Answer(500 if b'"0"' in body else 200))
        ran = Ran(receiver, [FINALS[0], 1.0, *FINALS[1:], 3600.0])

        assert receiver.taken == ["1", "2", "3", "4"]
        assert ran.left == FINALS[:1]
        assert GIVE_UP_AFTER <= receiver.times[-1] <= GIVE_UP_AFTER + LONGEST


class TestAtTheEnd:
    def test_what_is_left_is_delivered_within_its_patience(self) -> None:
        """It does not sleep through it, however long it had been waiting."""
        receiver = Receiver([OSError("refused")] * 30)
        ran = Ran(receiver, [FINALS[0], 600.0, *FINALS[1:]], patience=30.0)

        assert ran.took <= 30
        assert receiver.taken == ["0", "1", "2", "3", "4"]

    def test_then_it_is_said_what_is_not(self) -> None:
        receiver = Receiver(then=OSError("connection refused"))
        ran = Ran(receiver, FINALS, patience=30.0)

        assert ran.took == 30
        assert ran.sink.undelivered() == FINALS
        assert ran.problem
        assert ran.problem.exit_code is Exit.OUTPUT
        assert "https://example.com: connection refused (5 events are not delivered)" in str(ran.problem)

    def test_a_receiver_that_never_answers_is_not_waited_for(self) -> None:
        ran = Ran(Receiver([1e9]), FINALS, patience=30.0)

        assert ran.took == 30
        assert ran.sink.undelivered() == FINALS

    def test_a_retry_after_is_obeyed_to_the_last(self) -> None:
        receiver = Receiver([Answer(503, retry_after=60)])
        Ran(receiver, FINALS, patience=30.0)

        assert len(receiver.posts) == 1


class TestSecret:
    def test_one_that_is_not_there_ends_the_sink_before_it_began(self) -> None:
        receiver = Receiver()
        ran = Ran(receiver, FINALS, secret=[Problem("no secret", "", Exit.CONFIG)])

        assert (receiver.posts, str(ran.problem)) == ([], "no secret")

    def test_a_new_one_is_used_from_the_next_attempt_on_and_a_broken_one_is_waited_for(self) -> None:
        receiver = Receiver()
        secrets = [b"at the start", b"one", Problem("it is empty"), b"two"]
        Ran(receiver, [FINALS[0], 1.0, FINALS[1], 60.0], secret=secrets)

        assert receiver.taken == ["0", "1"]
        for (_, body, headers), secret in zip(receiver.posts, [b"one", b"two"], strict=True):
            seconds, _, theirs = headers["Stream-Supervisor-Signature"].removeprefix("t=").partition(",v1=")
            assert theirs == hmac.new(secret, seconds.encode() + b"." + body, hashlib.sha256).hexdigest()

    @pytest.mark.parametrize("secret", ["whsec_0123456789", "eyJhbGciOiJub25lIn0.e30."])
    def test_it_is_what_is_in_its_place(self, secret: str) -> None:
        sink = webhook_sink(
            "https://example.com/hook", Credential("env", "S", {"S": secret + "\n"}), log=Log().log, chance=random.Random()
        )

        async def main() -> bytes:
            return await sink._secret()

        assert trio.run(main) == secret.encode()

    def test_a_place_without_one_is_called_what_it_is(self) -> None:
        sink = webhook_sink("https://example.com/hook", Credential("env", "S", {}), log=Log().log, chance=random.Random())

        with pytest.RaisesGroup(pytest.RaisesExc(Problem, match="no secret for the webhook: the variable S is not set")):
            async def main() -> None:
                async with trio.open_nursery() as nursery:
                    await nursery.start(sink.run)

            trio.run(main)


def test_an_outage_that_outlasts_its_room_gives_up_the_oldest_and_keeps_the_order_of_the_rest() -> None:
    receiver = Receiver([OSError("refused")] * 8)
    events = [said(str(number), segment=number) for number in range(300)]
    ran = Ran(receiver, [each for event in events for each in (event, 0.1)], room=100)

    assert ran.left
    assert len(ran.left) + len(receiver.taken) == 300
    assert receiver.taken == sorted(receiver.taken, key=int)
    assert [int(event.text) for event in ran.left] == sorted(int(event.text) for event in ran.left)  # type: ignore[attr-defined]


def test_an_event_that_cannot_be_told_costs_its_own_call_alone() -> None:
    receiver = Receiver()
    bad = said("bad", call_id="a", words=[object()])
    ran = Ran(receiver, [said("x", call_id="b"), bad, said("y", call_id="b", segment=1)])

    assert receiver.taken == ["x", "y"]
    assert (ran.left, ran.failed) == ([bad], ["a"])


def test_cancelled_at_any_moment_it_has_lost_nothing() -> None:
    """What was on its way is given out once more: its receiver knows it by the key."""

    async def secret() -> bytes:
        return b"secret"

    async def main(after: float) -> None:
        receiver = Receiver([0.5, OSError("refused"), 0.5])
        sink = WebhookSink(receiver.opened, secret, log=Log().log, chance=random.Random(1))
        with trio.move_on_after(after):
            async with trio.open_nursery() as nursery:
                await nursery.start(sink.run)
                for event in FINALS:
                    sink.offer(event)
                    await trio.sleep(0.2)
                await trio.sleep_forever()
        left = [event.text for event in sink.undelivered()]  # type: ignore[attr-defined]
        offered = [event.text for event in FINALS[: min(5, int(after / 0.2 + 1.001))]]

        assert [*receiver.taken, *left] == offered

    for tenth in range(1, 30):
        trio.run(main, tenth / 10 + 0.05, clock=trio.testing.MockClock(autojump_threshold=0))


def test_over_a_real_connection_it_arrives_once_though_the_first_attempt_failed() -> None:
    server = Server(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def main() -> None:
        async with server.url() as url, trio.open_nursery() as nursery:
            place = Credential("env", "S", {"S": "secret"})
            sink = webhook_sink(url, place, log=Log().log, chance=random.Random(1))
            await nursery.start(sink.run)
            sink.offer(FINALS[0])
            sink.close()

    real(main)
    assert len(server.requests) == 2
    bodies = [request.partition(b"\r\n\r\n")[2] for request in server.requests]
    assert bodies == [b"[" + json_line(FINALS[0]).rstrip() + b"]"] * 2
