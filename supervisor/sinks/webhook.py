"""Events to a web server: POSTs of JSON arrays, in order, one at a time, each until it is answered.

What has come while one batch was on its way goes with the next. A batch that fails is sent again, the same bytes under
the same `Idempotency-Key` and a new signature (`signing`), after a wait that grows at random; Retry-After is its floor.
A batch that is refused (3xx and 4xx, but for 408, 425 and 429) is given up, or nothing behind it would ever be heard
of; of one that is too large (413) each half is sent by itself.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import trio
from structlog.typing import FilteringBoundLogger

from supervisor import __version__
from supervisor.core.problem import Exit, Problem
from supervisor.credential import Credential
from supervisor.events import Event
from supervisor.sinks.encoding import JsonLines
from supervisor.sinks.outbox import ROOM, Boxed
from supervisor.sinks.posting import Answer, Opened, Post, posting
from supervisor.sinks.signing import HEADER, signature
from supervisor.sinks.writing import encoded

MOST = 100  # events in a batch
LARGEST = 512 * 1024  # bytes of a batch of several: many servers take a megabyte
FIRST, LONGEST = 0.5, 30.0  # seconds of the wait that doubles
LAST = 2.0  # seconds of it at most, once nothing more will come
GIVE_UP_AFTER = 900.0  # seconds of one batch: its receiver may break over it each time
OBEYED = 300.0  # seconds at most of a Retry-After
PASSING = frozenset({408, 425, 429})  # and every 5xx: another attempt may well succeed
TOO_LARGE = 413

Secret = Callable[[], Awaitable[bytes]]  # raises Problem


@dataclass(frozen=True, slots=True)
class Batch:
    events: Sequence[Event]
    body: bytes
    key: str


class WebhookSink(Boxed):
    """`secret` is asked for each attempt, so that it may change."""

    def __init__(
        self,
        opened: Opened,
        secret: Secret,
        *,
        log: FilteringBoundLogger,
        chance: random.Random,
        where: str = "the webhook",
        name: str = "webhook",
        interims: bool = False,
        patience: float = 30.0,
        wall: Callable[[], float] = time.time,
        room: int = ROOM,
    ) -> None:
        super().__init__(name, interims=interims, room=room)
        self._opened = opened
        self._secret = secret
        self._log = log.bind(sink=name)
        self._chance = chance
        self._where = where  # in messages: a URL may have a password in it
        self._patience = patience
        self._wall = wall
        self._closing = trio.Event()
        self._trouble, self._said = "", ""  # why nothing gets through at present, and the line about it
        self._most = MOST  # events in a batch, as far as is known of what the receiver takes

    def close(self) -> None:
        super().close()
        self._closing.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self._secret()
        async with self._opened() as post, trio.open_nursery() as nursery:
            nursery.start_soon(self._limit, nursery.cancel_scope)
            task_status.started()
            while batch := await self._next():
                await self._deliver(batch, post)
            nursery.cancel_scope.cancel("all is delivered")
        if left := self.backlog:
            raise Problem(
                f"cannot deliver the transcript to {self._where}: {self._trouble or 'no answer'} ({left} events are not delivered)",
                "see what it has against them", Exit.OUTPUT,
            )  # fmt: skip

    async def _limit(self, scope: trio.CancelScope) -> None:
        await self._closing.wait()
        scope.deadline = trio.current_time() + self._patience

    async def _next(self) -> Batch | None:
        """The oldest events, once there are any; None when there will be none."""
        while True:
            if events := self._outbox.take(MOST)[: self._most]:
                lines, broken = encoded(JsonLines(), events)
                if lines:
                    return self._batch(events, lines)
                assert broken
                self._refuse(broken.call_id, broken.problem)
            elif self._outbox.closed:
                return None
            else:
                await self._outbox.wait()

    def _batch(self, events: Sequence[Event], lines: Sequence[bytes]) -> Batch:
        count, size = 0, 0
        for line in lines:
            size += len(line) + 1
            if count and size > LARGEST:
                break
            count += 1
        body = b"[" + b",\n".join(line.rstrip(b"\n") for line in lines[:count]) + b"]"
        return Batch(events[:count], body, str(uuid.UUID(int=self._chance.getrandbits(128), version=4)))

    async def _deliver(self, batch: Batch, post: Post) -> None:
        """Returns once it has been taken, or will not be."""
        began, tries = trio.current_time(), 0
        while True:
            answer, why = await self._answer(batch, post)
            if 200 <= answer.status < 300:
                self._outbox.written(len(batch.events))
                self._most = min(MOST, self._most + 1)
                if self._trouble:
                    self._log.info("output_works_again", backlog=self.backlog)
                self._trouble = self._said = ""
                return
            if answer.status == TOO_LARGE and len(batch.events) > 1:
                self._most = len(batch.events) // 2
                return  # and its first half is the next one
            refused = 0 < answer.status < 500 and answer.status not in PASSING
            if refused or trio.current_time() - began >= GIVE_UP_AFTER:
                self._say("output_refuses", why, "these events are given up, and the next are tried")
                self._outbox.written(len(batch.events))
                self._give_up(batch.events)
                return
            self._say("output_stuck", why, "it is tried again, and what comes meanwhile waits")
            await self._wait(tries, min(answer.retry_after, OBEYED))
            tries += 1

    async def _answer(self, batch: Batch, post: Post) -> tuple[Answer, str]:
        """What came of one attempt, and in words; a status of 0: nothing did."""
        try:
            headers = {
                "Content-Type": "application/json",
                "Idempotency-Key": batch.key,
                "User-Agent": f"stream-supervisor/{__version__}",
                HEADER: signature(await self._secret(), int(self._wall()), batch.body),
            }
            answer = await post(batch.body, headers)
        except OSError as error:
            return Answer(0), error.strerror or str(error)
        except Problem as problem:  # the secret may be readable by the next attempt
            return Answer(0), problem.cause
        return answer, f"HTTP {answer.status}"

    def _say(self, event: str, why: str, hint: str) -> None:
        """Once until something gets through again."""
        self._trouble = why
        if self._said != event:
            self._said = event
            self._log.error(event, to=self._where, reason=why, hint=hint)

    async def _wait(self, tries: int, floor: float) -> None:
        await trio.sleep(floor)
        wait = self._chance.uniform(0.0, min(LONGEST, FIRST * 2 ** min(tries, 10)))
        if self._closing.is_set():
            await trio.sleep(min(wait, LAST))
        else:
            with trio.move_on_after(wait):
                await self._closing.wait()


def webhook_sink(
    url: str,
    credential: Credential,
    *,
    log: FilteringBoundLogger,
    chance: random.Random,
    ca: str = "",
    interims: bool = False,
    name: str = "webhook",
) -> WebhookSink:
    """To an http or https URL, signed with what is in that place. Raises Problem."""
    parts = urlsplit(url)

    async def secret() -> bytes:
        try:
            return (await credential.authorization()).partition(" ")[2].encode()
        except Problem as problem:
            cause = problem.cause.replace("no Deepgram key", "no secret for the webhook")
            raise Problem(cause, problem.hint, problem.exit_code) from None

    return WebhookSink(
        posting(url, ca=ca), secret, log=log, chance=chance, interims=interims, name=name,
        where=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
    )  # fmt: skip
