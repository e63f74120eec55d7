"""Every fault does to a connection what its docstring says, and is noted as having happened."""

from itertools import pairwise

import pytest
import trio

from supervisor.emulator.faults import (
    FAULTS,
    Close,
    Drop,
    Fin,
    Flood,
    Garbage,
    HalfFrame,
    Hole,
    NoClose,
    NoFinals,
    NoLastFinals,
    NoMetadata,
    Nonsense,
    NoWordEnd,
    Page,
    Refuse,
    Reset,
    ShortTail,
    Silent,
    Slow,
    StopAnswering,
    StopReading,
    StopResults,
    Undecodable,
)
from supervisor.emulator.habits import Habits
from supervisor.emulator.plan import Plan
from supervisor.emulator.proof import CallProof
from supervisor.emulator.server import Emulator
from supervisor.emulator.speech import Speech
from supervisor.memory import memory_wire

from .client import LISTEN, end_of, request, simulate, talk, words_of


def spoken(seconds):
    return [each.word for each in Speech(7, 8000).between(0, round(seconds * 8000))]


def speak(seconds, then=0.0):
    async def script(client):
        await client.speak(seconds)
        await trio.sleep(then)

    return script


async def finished(client):
    await client.speak(5)
    client.control("CloseStream")
    await trio.sleep(3)


# The opening


def test_silent_reads_the_request_and_never_answers():
    talked = talk(None, Plan([Silent()], habits=Habits(hold=60.0)))

    assert (talked.client.answer, talked.client.end, talked.record.closed) == (None, "eof", 60.0)
    assert talked.record.target == LISTEN


def test_slow_answers_late():
    talked = talk(finished, [Slow(seconds=4.0)], stays=True)

    assert talked.client.answered == 4.0
    assert spoken(5) == talked.client.words


def test_slow_may_be_too_slow_for_the_peer_and_ends_all_the_same():
    async def main():
        emulator = Emulator(Plan([Slow(seconds=4.0)]))
        wire, peer = memory_wire()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(emulator.serve, peer)
            wire.put(request())
            await trio.sleep(1)
            wire.close()
        return emulator.proof.connections[0]

    record = simulate(main)

    assert record.faults == ["slow"]
    assert record.end in ("eof", "reset")


@pytest.mark.parametrize("reset, end", [(False, "eof"), (True, "reset")])
def test_drop_ends_before_the_answer(reset, end):
    talked = talk(None, [Drop(reset=reset)])

    assert (None, end, b"") == (talked.client.answer, talked.client.end, talked.client.rest)


def test_page_is_html_where_an_upgrade_was_wanted():
    answer = talk(None, [Page()]).client.answer

    assert (answer.status, answer.headers["content-type"]) == (200, "text/html")
    assert len(answer.body) == int(answer.headers["content-length"])


def test_nonsense_is_no_http():
    talked = talk(None, [Nonsense()])

    assert (talked.client.answer, talked.client.end) == (None, "eof")
    assert talked.client.rest.startswith(b"SSH-2.0")


# After so much audio, so much time, or with CloseStream


@pytest.mark.parametrize("fault, at", [(Reset(audio=2.0), 1.9), (Reset(time=2.05), 2.05), (Reset(), 0.0)])
def test_a_fault_happens_when_it_is_to(fault, at):
    talked = talk(speak(3), [fault])

    assert at == pytest.approx(talked.client.ended_at)
    assert (talked.record.end, talked.record.faults) == ("reset", ["reset"])


def test_a_fault_with_close_stream_comes_before_what_that_asks_for():
    talked = talk(finished, [Close(finishing=True, code=1012, reason="going down")], stays=True)

    assert (talked.client.closed, talked.client.of("Metadata")) == ((1012, "going down"), [])
    assert spoken(5) != talked.client.words


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 3999, 4321])
def test_close_is_a_frame_with_a_code_and_a_reason_and_then_tcp_ends(code):
    talked = talk(speak(5), [Close(audio=3.0, code=code, reason="NET-0000")])
    client = talked.client

    assert ((code, "NET-0000"), "eof") == (client.closed, client.end)
    assert pytest.approx(client.closed_at) == 2.9
    assert ((code, "NET-0000"), (code, "NET-0000")) == (talked.record.close_sent, talked.record.close_received)


def test_close_without_a_code_is_1005():
    talked = talk(speak(5), [Close(audio=3.0, code=1005)])

    assert (talked.client.closed, talked.record.close_sent) == ((1005, ""), (1005, ""))


@pytest.mark.parametrize("code", [0, 999, 1006, 1015, 65535])
def test_close_may_have_a_code_that_no_frame_may_have(code):
    talked = talk(speak(5), [Close(audio=3.0, code=code)])

    assert (code, "") == talked.record.close_sent
    assert talked.client.closed is not None
    assert talked.client.end == "eof"


def test_nothing_that_was_to_be_told_is_told_after_a_close():
    habits = Habits(latency=(0.5, 0.5))
    talked = talk(speak(5), Plan([Close(audio=3.0)], habits=habits))

    assert [pytest.approx(end_of(each)) for each in talked.client.results] == [1.0, 2.0]


def test_close_may_leave_the_connection_open_until_the_peer_ends_it():
    talked = talk(speak(10), Plan([Close(audio=3.0, hang_up=False)], habits=Habits(hold=60.0)), stays=True)

    assert pytest.approx(talked.client.closed_at) == 2.9
    assert (talked.client.end, talked.client.ended_at > 60) == ("eof", True)


def test_a_peer_that_does_not_answer_a_close_is_left_after_a_while():
    async def script(client):
        client.answers_close = False
        await client.speak(10)

    talked = talk(script, [Close(audio=3.0)], stays=True)

    assert 4 < talked.client.ended_at < 8
    assert talked.record.close_received is None


def test_pings_after_a_close():
    talked = talk(speak(5), [Close(audio=3.0, pings=3, reason="x")])

    assert (talked.client.came.count(b"\x89\x04late"), talked.client.closed) == (3, (1011, "x"))
    assert talked.client.came.endswith(b"late")
    assert talked.record.faults == ["close"]


def test_fin_ends_without_a_close_frame():
    talked = talk(speak(5), [Fin(audio=3.0)])

    assert (talked.client.closed, talked.client.end, talked.record.end) == (None, "eof", "fin")


@pytest.mark.parametrize("then, end", [("fin", "eof"), ("reset", "reset"), ("stay", "eof")])
def test_half_a_frame(then, end):
    plan = Plan([HalfFrame(audio=3.0, then=then)], habits=Habits(hold=60.0))
    talked = talk(speak(5, then=1.0), plan, stays=True)
    client = talked.client

    assert (None, end) == (client.closed, client.end)
    assert (client.ended_at > 60) == (then == "stay")
    assert client._text.startswith('{"type": "Results"') or then == "reset"  # begun, and nowhere whole
    assert all(isinstance(message, dict) for _, message in client.messages)


def test_stop_reading_still_answers_what_was_asked():
    habits = Habits(latency=(0.5, 0.5), hold=60.0)
    talked = talk(speak(10), Plan([StopReading(audio=3.0)], habits=habits), stays=True)

    assert talked.record.seconds == 3.0
    assert pytest.approx(max(end_of(each) for each in talked.client.results)) == 3.0
    assert 60 < talked.record.closed < 70


def test_stop_reading_fills_the_network():
    async def script(client):
        await client.speak(20)
        assert not client.wire.clear

    talk(script, [StopReading(audio=3.0)], capacity=100_000)


def test_stop_answering_reads_everything_and_says_nothing_not_even_a_pong():
    async def script(client):
        await client.speak(4)
        for _ in range(5):
            client.ping()
            await client.speak(1, at=4)
        client.close()
        await trio.sleep(30)

    talked = talk(script, Plan([StopAnswering(audio=3.0)], habits=Habits(hold=100.0)))
    client = talked.client

    assert (client.pongs, client.closed, client.end) == (0, None, "")
    assert talked.record.seconds == 9.0
    assert (talked.record.close_received, talked.record.end) == ((1000, ""), "mute")
    assert max(now for now, _ in client.messages) < 3


def test_stop_results_answers_pings_and_tells_nothing():
    async def script(client):
        await client.speak(10)
        client.ping()
        await client.speak(10, at=10)

    talked = talk(script, [StopResults(audio=3.0)])

    assert talked.client.pongs == 1
    assert talked.record.seconds == 20.0
    assert max(now for now, _ in talked.client.messages) < 3


def test_stop_results_may_end_and_then_everything_comes_at_once():
    async def script(client):
        await client.speak(15)
        client.control("CloseStream")
        await trio.sleep(3)

    talked = talk(script, [StopResults(audio=3.0, seconds=5.0)], stays=True)
    times = [now for now, _ in talked.client.messages]

    assert spoken(15) == talked.client.words
    assert not [now for now in times if 2.9 <= now < 7.9]
    assert len([now for now in times if now == pytest.approx(7.9)]) >= 4


def test_no_finals():
    talked = talk(speak(15, then=1.0), [NoFinals(audio=5.0)])

    assert all(end_of(each) <= 5.0 for each in talked.client.finals)
    assert max(end_of(each) for each in talked.client.interims) > 14


def test_hole():
    async def script(client):
        await client.speak(20)
        client.control("CloseStream")
        await trio.sleep(3)

    talked = talk(script, [Hole(audio=3.0, seconds=1.5)], stays=True)
    finals = talked.client.finals
    holes = [other["start"] - end_of(one) for one, other in pairwise(finals)]

    assert [pytest.approx(each, abs=1e-3) for each in holes if each > 1e-3] == [1.5]
    assert [end - start for start, end in missing(talked)] == [12000]


def missing(talked):
    return CallProof([talked.record]).not_final(talked.record.frames)


@pytest.mark.parametrize(
    "what, seen",
    [("text", "this is no JSON"), ("json", [1, 2]), ("unknown", {"type": "Surprise", "of": {"some": "kind"}}),
     ("error", {"type": "Error", "variant": "Unexpected", "description": "this is a drill"}), ("binary", b"\0\1\2\3")],
)  # fmt: skip
def test_garbage_is_something_a_client_does_not_expect(what, seen):
    talked = talk(speak(5, then=1), [Garbage(audio=2.0, what=what)])

    assert [seen] == [each for _, each in talked.client.messages if each == seen]
    assert len(talked.client.interims) == 5  # and nothing else is wrong


@pytest.mark.parametrize("what, code", [("utf8", 1007), ("opcode", 1002)])
def test_garbage_may_be_no_frame_at_all(what, code):
    talked = talk(speak(5), [Garbage(audio=2.0, what=what)])

    assert code == talked.client.closed[0]


def test_garbage_may_be_huge():
    talked = talk(speak(5), [Garbage(audio=2.0, what="huge")], capacity=4 << 20)
    longest = max(len(each) for _, each in talked.client.messages if isinstance(each, str))

    assert longest > 1 << 20


def test_flood():
    talked = talk(speak(5, then=1), [Flood(audio=2.0, messages=1234)])

    assert len([now for now, _ in talked.client.messages if now == pytest.approx(1.9)]) == 1234


def test_undecodable():
    talked = talk(speak(20), [Undecodable(audio=2.0)], stays=True)

    assert [(each["duration"], each["channels"]) for each in talked.client.of("Metadata")] == [(0.0, 0)]
    assert (talked.client.closed, pytest.approx(talked.client.closed_at)) == ((1008, "DATA-0000"), 13.9)


def test_no_word_end():
    async def script(client):
        await client.speak(3)
        await client.silence(2.5)
        await trio.sleep(1)

    talked = talk(script, [NoWordEnd()], opening=request(LISTEN + "&utterance_end_ms=1000"))

    assert [each["last_word_end"] for each in talked.client.of("UtteranceEnd")] == [-1]


# Finishing


def test_no_metadata():
    talked = talk(finished, [NoMetadata()], stays=True)

    assert (spoken(5), [], (1000, "")) == (talked.client.words, talked.client.of("Metadata"), talked.client.closed)
    assert talked.record.metadata is False


def test_no_close():
    """However long the peer waits for it, and it still answers pings."""

    async def script(client):
        await finished(client)
        for _ in range(8):
            client.ping()
            await trio.sleep(4)

    talked = talk(script, Plan([NoClose()], habits=Habits(hold=60.0)), stays=True)

    assert (len(talked.client.of("Metadata")), talked.client.closed, talked.client.pongs) == (1, None, 8)
    assert 80 < talked.record.closed < 110
    assert (talked.client.end, talked.record.end) == ("eof", "fault")


def test_no_last_finals():
    talked = talk(finished, [NoLastFinals()], stays=True)

    assert spoken(5) != talked.client.words
    assert (talked.client.of("Metadata")[0]["duration"], talked.client.closed) == (5.0, (1000, ""))


def test_short_tail():
    talked = talk(finished, [ShortTail(seconds=1.2)], stays=True)
    last = talked.client.finals[-1]

    assert pytest.approx(end_of(last)) == 3.8
    assert all(word["end"] <= 3.8 + 1e-4 for word in words_of(last))
    assert missing(talked) == [(30400, 40000)]


def test_several_faults_happen_to_one_connection():
    faults = [Slow(seconds=1.0), Garbage(audio=1.0), StopResults(audio=2.0, seconds=1.0), Hole(audio=2.5, seconds=0.5),
              NoMetadata(), ShortTail(seconds=0.5), Flood(finishing=True, messages=3)]  # fmt: skip
    talked = talk(finished, faults, stays=True)

    assert talked.record.faults == ["slow", "garbage", "stop_results", "hole", "flood", "short_tail", "no_metadata"]


def test_every_fault_is_tested_here():
    tested = {value for value in globals().values() if isinstance(value, type)} | {Refuse}  # which test_server has

    assert set(FAULTS.values()) <= tested
