"""Whoever asks gets an answer or is told why not, and can do the daemon no harm: on simulated time and streams."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_one_way_pair, memory_stream_pair

from supervisor.admin.protocol import LONGEST_REQUEST
from supervisor.admin.serving import FRESH, MOST, RELOAD, REQUEST, WRITE, Answering, Peer

from .fake import CANARY, FakeControl, Logged, view

PEER = Peer(pid=42, uid=1000, gid=1000)
HEALTH = b'{"action":"health"}\n'
CALLS = b'{"action":"calls"}\n'


def simulated(main: Callable[[], Awaitable[object]]) -> None:
    trio.run(main, clock=MockClock(autojump_threshold=0))


async def said(answering: Answering, *data: bytes, eof: bool = True) -> list[dict[str, object]]:
    """What one connection is answered until the daemon is done with it."""
    ours, theirs = memory_stream_pair()
    got = bytearray()

    async def attend() -> None:
        await answering.attend(theirs, PEER)
        await theirs.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(attend)
        with contextlib.suppress(trio.BrokenResourceError):
            for each in data:
                await ours.send_all(each)
            if eof:
                await ours.send_eof()
        async for piece in ours:
            got += piece
    assert not got or got.endswith(b"\n")
    return [json.loads(line) for line in got.splitlines()]


def answers_to(control: FakeControl, *data: bytes, eof: bool = True, logged: Logged | None = None) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []

    async def main() -> None:
        found.extend(await said(Answering(control, (logged or Logged()).log), *data, eof=eof))

    simulated(main)
    return found


class Stuck(trio.abc.Stream):
    """A peer that asks, and never reads what it is answered."""

    def __init__(self, *asks: bytes) -> None:
        self._asks = list(asks)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        del max_bytes
        await trio.lowlevel.checkpoint()
        return self._asks.pop(0) if self._asks else b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        del data
        await trio.sleep_forever()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.sleep_forever()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def test_many_requests_on_one_connection_are_answered_in_order() -> None:
    answers = answers_to(FakeControl([view("a")]), HEALTH + CALLS, b'{"action":"pause","call_id":"a"}\n')

    assert [each["answer"] for each in answers] == ["health", "calls", "done"]


@pytest.mark.parametrize(
    "request_line, did, audit",
    [
        (b'{"action":"end","call_id":"a"}\n', ("end", "a"), {"action": "end", "call_id": "a", "outcome": "done"}),
        (b'{"action":"pause","call_id":"a"}\n', ("pause", "a"), {"action": "pause", "call_id": "a", "outcome": "done"}),
        (b'{"action":"resume","call_id":"b"}\n', ("resume", "b"), {"action": "resume", "call_id": "b", "outcome": "unknown_call"}),
        (b'{"action":"drain"}\n', ("drain", False), {"action": "drain", "now": False, "outcome": "done"}),
        (b'{"action":"drain","now":true}\n', ("drain", True), {"action": "drain", "now": True, "outcome": "done"}),
        (b'{"action":"reload"}\n', ("reload",), {"action": "reload", "outcome": "done"}),
    ],
)
def test_each_change_is_done_once_and_leaves_a_line_that_says_who_made_it(request_line, did, audit) -> None:
    control, logged = FakeControl([view("a")]), Logged()
    answers_to(control, request_line, logged=logged)

    assert control.did == [did]
    assert logged.events == [{"event": "admin", "log_level": "info", "uid": 1000, "pid": 42, **audit}]


def test_looking_leaves_no_line_and_no_callers_number() -> None:
    logged = Logged()
    answers = answers_to(FakeControl([view("a")]), HEALTH, CALLS, b'{"action":"end","call_id":"a"}\n', logged=logged)

    assert CANARY in str(answers)
    assert [each["action"] for each in logged.events] == ["end"]
    assert CANARY not in str(logged.events)


def test_a_drain_is_answered_with_what_it_waits_for() -> None:
    [answer] = answers_to(FakeControl([view("a"), view("b")]), b'{"action":"drain"}\n')

    assert [each["call_id"] for each in answer["calls"]] == ["a", "b"]


def test_the_faults_of_a_reload_are_answered_and_it_is_logged_as_refused() -> None:
    logged = Logged()
    [answer] = answers_to(FakeControl(faults=["one", "two"]), b'{"action":"reload"}\n', logged=logged)

    assert answer == {"answer": "reloaded", "faults": ["one", "two"]}
    assert logged.named("admin")[0]["outcome"] == "refused"


@pytest.mark.parametrize(
    "data",
    [b"nonsense\n", b"\n", b'{"action":"drain","now":"yes"}\n', b"x" * (LONGEST_REQUEST + 1), b"\xff\n"],
)
def test_what_is_no_request_is_refused_and_ends_the_connection(data: bytes) -> None:
    control = FakeControl()
    answers = answers_to(control, HEALTH + data, HEALTH)

    assert [each["answer"] for each in answers] == ["health", "refused"]
    assert control.did == []


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([HEALTH, CALLS, b'{"action":"reload"}\n', b'{"action":"end",', b"\n"])))
def test_any_bytes_in_any_pieces_are_answered_with_lines_and_crash_nothing(data: list[bytes]) -> None:
    control, logged = FakeControl(), Logged()
    answers = answers_to(control, *data, logged=logged)

    assert all("answer" in each for each in answers)
    assert all(each["answer"] != "refused" for each in answers[:-1])
    assert logged.named("admin_failed") == []


def test_an_end_at_any_byte_changes_nothing_before_the_last_and_is_said() -> None:
    """Not even the whole of a request without the line's end is one: who wrote it may have died in writing it."""
    whole = b'{"action":"drain","now":true}\n'
    for length in range(len(whole)):
        control = FakeControl()
        answers = answers_to(control, whole[:length])
        assert control.did == []
        assert [each["answer"] for each in answers] == (["refused"] if length else [])


def test_who_asks_nothing_in_time_is_told_so_and_left() -> None:
    async def main() -> None:
        for data in ([], [b'{"action"'], [HEALTH]):
            start = trio.current_time()
            *_, last = await said(Answering(FakeControl(), Logged().log), *data, eof=False)
            assert last["answer"] == "refused"
            assert trio.current_time() - start == REQUEST

    simulated(main)


def test_a_byte_now_and_then_does_not_lengthen_the_time_for_a_request() -> None:
    async def main() -> None:
        ours, theirs = memory_stream_pair()

        async def drip() -> None:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                while True:
                    await ours.send_all(b" ")
                    await trio.sleep(REQUEST / 10)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            await Answering(FakeControl(), Logged().log).attend(theirs, PEER)
            assert trio.current_time() == start + REQUEST
            nursery.cancel_scope.cancel()

    start = 0.0

    async def with_start() -> None:
        nonlocal start
        start = trio.current_time()
        await main()

    simulated(with_start)


def test_who_does_not_read_is_left_and_the_others_do_not_wait() -> None:
    async def main() -> None:
        answering = Answering(FakeControl(), Logged().log)
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answering.attend, Stuck(CALLS, CALLS), PEER)
            await trio.testing.wait_all_tasks_blocked()
            assert [each["answer"] for each in await said(answering, HEALTH)] == ["health"]
            assert trio.current_time() == start
        assert trio.current_time() - start == WRITE

    simulated(main)


def test_the_end_of_the_daemon_waits_a_second_at_most_for_a_peer_that_never_reads() -> None:
    async def main() -> None:
        with trio.CancelScope() as daemon:
            control = FakeControl(on_drain=daemon.cancel)
            start = trio.current_time()
            await Answering(control, Logged().log).attend(Stuck(b'{"action":"drain"}\n'), PEER)
        assert trio.current_time() - start == 1.0

    simulated(main)


def test_a_drain_that_ends_the_daemon_is_answered_all_the_same() -> None:
    async def main() -> None:
        ours, theirs = memory_stream_pair()
        await ours.send_all(b'{"action":"drain"}\n')
        with trio.CancelScope() as daemon:
            await Answering(FakeControl(on_drain=daemon.cancel), Logged().log).attend(theirs, PEER)
        assert daemon.cancelled_caught
        assert json.loads(await ours.receive_some()) == {"answer": "calls", "calls": []}

    simulated(main)


def test_a_reload_that_takes_for_ever_is_given_up_and_said_to_be() -> None:
    logged = Logged()
    [answer] = answers_to(FakeControl(reloading=trio.sleep_forever), b'{"action":"reload"}\n', logged=logged)

    assert answer["answer"] == "refused"
    assert f"{RELOAD:g} s" in str(answer["why"])
    assert logged.events == [{"event": "admin", "log_level": "info", "uid": 1000, "pid": 42, "action": "reload", "outcome": "timeout"}]


def test_a_reload_in_which_the_daemon_ends_is_logged_as_interrupted() -> None:
    logged = Logged()

    async def main() -> None:
        with trio.move_on_after(1):
            await Answering(FakeControl(reloading=trio.sleep_forever), logged.log).attend(Stuck(b'{"action":"reload"}\n'), PEER)

    simulated(main)
    assert [each["outcome"] for each in logged.named("admin")] == ["interrupted"]


@pytest.mark.parametrize("request_line, audited", [(b'{"action":"end","call_id":"a"}\n', ["failed"]), (HEALTH, [])])
def test_a_bug_ends_its_connection_alone_and_leaves_a_traceback(request_line: bytes, audited: list[str]) -> None:
    control, logged = FakeControl(broken=True), Logged()

    async def main() -> None:
        answering = Answering(control, logged.log)
        answers = await said(answering, request_line, CALLS)
        assert [each["answer"] for each in answers] == ["refused"]
        assert [each["answer"] for each in await said(answering, CALLS)] == ["calls"]

    simulated(main)
    assert isinstance(logged.named("admin_failed")[0]["exc_info"], ZeroDivisionError)
    assert [each["outcome"] for each in logged.named("admin")] == audited


def test_there_is_a_bound_for_how_many_ask_at_once_and_it_is_said() -> None:
    async def main() -> None:
        answering = Answering(FakeControl(), Logged().log)
        open_ones = [memory_stream_pair() for _ in range(MOST)]
        async with trio.open_nursery() as nursery:
            for _, theirs in open_ones:
                nursery.start_soon(answering.attend, theirs, PEER)
            await trio.testing.wait_all_tasks_blocked()
            assert [each["answer"] for each in await said(answering, HEALTH)] == ["refused"]
            await open_ones[0][0].aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert [each["answer"] for each in await said(answering, HEALTH)] == ["health"]
            nursery.cancel_scope.cancel()

    simulated(main)


def test_the_list_is_made_a_few_times_a_second_however_often_it_is_wanted() -> None:
    async def main() -> None:
        control = FakeControl([view("a")])
        answering = Answering(control, Logged().log)
        for _ in range(20):
            await said(answering, CALLS * 20)
        assert control.listed == 1
        await trio.sleep(FRESH)
        await said(answering, CALLS)
        assert control.listed == 2

    simulated(main)


def test_after_a_change_the_list_is_made_anew() -> None:
    control = FakeControl([view("a")])
    answers_to(control, CALLS, b'{"action":"pause","call_id":"a"}\n', CALLS)

    assert control.listed == 2


def test_a_peer_that_has_left_is_no_failure() -> None:
    logged = Logged()

    async def main() -> None:
        requests, theirs_in = memory_stream_one_way_pair()
        theirs_out, answers = memory_stream_one_way_pair()
        await requests.send_all(HEALTH)
        await answers.aclose()
        await Answering(FakeControl(), logged.log).attend(trio.StapledStream(theirs_out, theirs_in), PEER)

    simulated(main)
    assert logged.events == []


@pytest.mark.parametrize("after", [0.0, 1.0])
def test_it_can_be_cancelled_wherever_it_waits(after: float) -> None:
    """For a request, and for an answer to be taken."""

    async def main() -> None:
        for peer in (memory_stream_pair()[1], Stuck(CALLS)):
            start = trio.current_time()
            with trio.move_on_after(after) as scope:
                await partial(Answering(FakeControl(), Logged().log).attend, peer, PEER)()
            assert scope.cancelled_caught
            assert trio.current_time() - start == after

    simulated(main)
