"""An accepted connection's frames: right, wrong, cut, early, endless, or never read."""

import pytest
import trio
from wsproto.events import BytesMessage, TextMessage

from supervisor.emulator.server import Emulator
from supervisor.emulator.speech import Speech
from supervisor.memory import memory_wire

from .client import LISTEN, Client, converse, end_of, request, simulate, talk


async def wait(_):
    await trio.sleep(2)


def spoken(seconds):
    return [each.word for each in Speech(7, 8000).between(0, round(seconds * 8000))]


def test_frames_that_come_with_the_request_are_heard():
    """A client may not do so, but some do not wait for the answer."""
    early = Client(*memory_wire())
    sent = []
    early.raw = lambda data: sent.append(bytes(data))
    early.audio(b"\x80" * 100)

    async def nothing(_):
        await trio.sleep(1)

    assert talk(nothing, opening=request() + b"".join(sent)).record.size == 100


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_lines_may_end_either_way(end):
    opening = request().replace(b"\r\n", end.encode())

    assert talk(None, opening=opening).client.answer.status == 101


def test_a_message_may_come_in_many_frames():
    async def script(client):
        for number in range(0, 16000, 100):
            part = BytesMessage(b"\x80" * 100, message_finished=number == 15900)
            client.raw(bytes(client.frames.send(part)))
            if number % 1000 == 0:
                client.ping()
        for at, letter in enumerate(text := '{"type": "KeepAlive"}'):
            client.raw(bytes(client.frames.send(TextMessage(letter, message_finished=at == len(text) - 1))))
        await trio.sleep(3)

    talked = talk(script)

    assert (talked.record.size, list(talked.record.sizes)) == (16000, [16000])
    assert talked.record.kinds == {"KeepAlive": 1}
    assert talked.client.pongs == 16
    assert talked.client.of("Error") == []


def test_pings_are_answered_and_hold_nothing():
    async def script(client):
        await client.speak(1.5)
        for _ in range(12):
            client.ping()
            await trio.sleep(1)

    talked = talk(script, stays=True)

    assert talked.client.pongs >= 11
    assert talked.client.closed[0] == 1011
    assert talked.client.closed[1].endswith("net0001")
    assert 13.3 < talked.client.closed_at < 13.5


@pytest.mark.parametrize(
    "data, code",
    [
        (b"\x82\x03abc", 1002),  # not masked
        (b"\x83\x83maskabc", 1002),  # no such opcode
        (b"\xc2\x83maskabc", 1002),  # an extension that nobody agreed on
        (b"\x80\x83maskabc", 1002),  # goes on with nothing
        (b"\x89\xfe\x00\xffmask" + bytes(255), 1002),  # a ping too long
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007),  # not UTF-8
        (b"\x88\x81\0\0\0\0x", 1002),  # half a code
    ],
)
def test_a_frame_that_is_wrong_is_told_by_the_servers_own_close(data, code):
    async def script(client):
        await trio.sleep(0.1)
        client.raw(data)

    talked = talk(script, stays=True)

    assert code == talked.client.closed[0]
    assert code == talked.record.close_sent[0]
    assert talked.record.close_received in (None, (code, ""))  # it was not the peer who said so first


def test_a_message_without_an_end_is_not_kept_for_ever():
    async def script(client):
        client.raw(b"\x02\xff" + (1 << 40).to_bytes(8, "big") + bytes(4))
        for _ in range(40):
            client.raw(bytes(1 << 20))
            await trio.sleep(0.1)

    talked = talk(script, stays=True, capacity=1 << 21)

    assert talked.client.closed[0] == 1009


def test_a_client_that_closes_is_answered_and_told_no_more():
    async def script(client):
        await client.speak(3)
        client.close(4000)
        await trio.sleep(3)

    talked = talk(script)

    assert (talked.record.close_received, talked.record.end) == ((4000, ""), "close")
    assert talked.client.closed[0] == 4000
    assert talked.client.of("Metadata") == []


def test_a_peer_that_never_reads_is_cut_off():
    async def script(client):
        client.may_read = trio.Event()
        for _ in range(30):
            client.text("x" * 1000)  # each is answered by an error that quotes it
            await trio.sleep(0.1)
        await trio.sleep(60)
        client.may_read.set()

    talked = talk(script, capacity=20_000, stays=True)

    assert talked.record.end == "unread"
    assert talked.client.end == "reset"
    assert 30 <= talked.record.closed - talked.record.answered <= 60


def test_the_same_audio_again_is_told_in_other_pieces():
    """A replay finds its finals elsewhere, and is a connection of its own."""
    emulator = Emulator()

    async def script(client):
        await client.speak(40)
        client.control("CloseStream")
        await trio.sleep(2)

    async def main():
        opening = request(LISTEN + "&endpointing=false")
        return [await converse(emulator, script, opening, stays=True) for _ in range(2)]

    one, two = simulate(main)

    assert one.words == two.words == spoken(40)
    assert [end_of(each) for each in one.finals] != [end_of(each) for each in two.finals]
    assert one.answer.headers["dg-request-id"] != two.answer.headers["dg-request-id"]
