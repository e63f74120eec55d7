"""A daemon's real socket: who asks is known, many may ask at once, and the worst of them costs the others nothing."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from supervisor.admin.asking import ask
from supervisor.admin.protocol import AskHealth, Calls, Done, HealthIs, ListCalls, Pause
from supervisor.admin.serving import MOST, serve
from supervisor.core.problem import Problem

from .fake import DEADLINE, FakeControl, Logged, view, while_serving

HEALTH = b'{"action":"health"}\n'
CALLS = b'{"action":"calls"}\n'


def beside_a_daemon(path: Path, control: FakeControl, work: Callable[[], Awaitable[None]]) -> None:
    """The work on the daemon's own loop, over its real socket."""

    async def main() -> None:
        with trio.fail_after(DEADLINE):
            async with trio.open_nursery() as nursery:
                started = await nursery.start(serve, str(path), control, Logged().log)
                assert started == str(path)
                await work()
                nursery.cancel_scope.cancel()

    trio.run(main)


async def line_of(stream: trio.SocketStream) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n") and (data := await stream.receive_some()):
        line += data
    return bytes(line)


def test_the_kernel_says_who_made_a_change(tmp_path: Path) -> None:
    control, logged = FakeControl([view("a")]), Logged()
    answer = while_serving(tmp_path / "s", control, lambda: ask(str(tmp_path / "s"), Pause("a")), logged)

    assert answer == Done()
    assert logged.events == [
        {"event": "admin", "log_level": "info", "uid": os.getuid(), "pid": os.getpid(), "action": "pause", "call_id": "a", "outcome": "done"}
    ]  # fmt: skip


def test_it_is_there_for_owner_and_group_while_it_serves_and_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "s"
    mode = while_serving(path, FakeControl(), lambda: stat.S_IMODE(path.lstat().st_mode))

    assert mode == 0o660
    assert not path.exists()


def test_of_200_connections_each_is_answered_or_told_that_there_are_too_many(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    answers: list[str] = []

    async def work() -> None:
        streams = [await trio.open_unix_socket(path) for _ in range(200)]
        for stream in streams:
            with suppress(trio.BrokenResourceError):  # it has been told, and left already
                await stream.send_all(HEALTH)
            answers.append(json.loads(await line_of(stream))["answer"])
        for stream in streams:
            await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(HEALTH)
            assert json.loads(await line_of(stream))["answer"] == "health"

    beside_a_daemon(tmp_path / "s", FakeControl(), work)
    assert Counter(answers) == {"health": MOST, "refused": 200 - MOST}


def test_a_client_that_never_reads_holds_nobody_up(tmp_path: Path) -> None:
    """Its answer is larger than any buffer of the kernel's."""
    path = str(tmp_path / "s")
    control = FakeControl([view(f"call-{number}", metadata={"note": "x" * 10_000}) for number in range(500)])

    async def work() -> None:
        async with await trio.open_unix_socket(path) as deaf, await trio.open_unix_socket(path) as other:
            await deaf.send_all(CALLS)
            await trio.testing.wait_all_tasks_blocked()
            await other.send_all(HEALTH)
            assert json.loads(await line_of(other))["answer"] == "health"

    beside_a_daemon(tmp_path / "s", control, work)


def test_a_list_of_any_length_arrives_whole(tmp_path: Path) -> None:
    control = FakeControl([view(f"call-{number}", metadata={"note": "x" * 10_000}) for number in range(500)])
    answer = while_serving(tmp_path / "s", control, lambda: ask(str(tmp_path / "s"), ListCalls()))

    assert isinstance(answer, Calls)
    assert answer.calls == control.views


def test_a_client_that_leaves_anywhere_is_no_failure(tmp_path: Path) -> None:
    path, logged = tmp_path / "s", Logged()

    async def main() -> None:
        with trio.fail_after(DEADLINE):
            async with trio.open_nursery() as nursery:
                await nursery.start(serve, str(path), FakeControl([view("a" * 100_000)]), logged.log)
                for length in range(len(CALLS) + 1):
                    async with await trio.open_unix_socket(str(path)) as stream:
                        await stream.send_all(CALLS[:length])
                    await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()

    trio.run(main)
    assert logged.events == []


def test_a_crash_ends_its_connection_alone(tmp_path: Path) -> None:
    control, logged = FakeControl([view("a")], broken=True), Logged()

    def work() -> None:
        path = str(tmp_path / "s")
        for _ in range(2):
            with pytest.raises(Problem, match="its log says how"):
                ask(path, AskHealth())
        control.broken = False
        assert isinstance(ask(path, AskHealth()), HealthIs)

    while_serving(tmp_path / "s", control, work, logged)
    assert len(logged.named("admin_failed")) == 2
