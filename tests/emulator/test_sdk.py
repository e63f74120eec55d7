"""Deepgram's own SDK takes the emulator for Deepgram: it connects, streams, is told Results, finalizes and ends."""

import asyncio
import threading
from contextlib import contextmanager

import pytest
import trio
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.types import (
    ListenV1Configure,
    ListenV1ConfigureSuccess,
    ListenV1Metadata,
    ListenV1Results,
)
from websockets.exceptions import InvalidStatus

from supervisor.emulator.faults import Refuse
from supervisor.emulator.habits import Habits
from supervisor.emulator.numbered import numbered
from supervisor.emulator.plan import Plan
from supervisor.emulator.server import Emulator, listen
from supervisor.emulator.speech import Speech

# Its own business: it imports a name that its WebSocket library calls old.
pytestmark = pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning")

KEY = "a key"
DEADLINE = 30
HURRIED = Plan(habits=Habits(rate=20.0))  # real time would only make it longer
ASKED = {"model": "nova-3", "encoding": "linear16", "sample_rate": 16000, "interim_results": True, "smart_format": True}


@contextmanager
def served(emulator):
    """The emulator in a thread of its own, and what tells the SDK where it is."""
    ready, started = threading.Event(), {}

    async def serve():
        with trio.move_on_after(DEADLINE) as scope:
            async with trio.open_nursery() as nursery:
                started["port"] = await nursery.start(lambda **more: listen(emulator, **more))
                started["stop"] = lambda: trio.from_thread.run_sync(scope.cancel, trio_token=token)
                token = trio.lowlevel.current_trio_token()
                ready.set()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert ready.wait(DEADLINE)
    url = f"127.0.0.1:{started['port']}"
    try:
        yield DeepgramClientEnvironment(
            base=f"http://{url}", production=f"ws://{url}", agent=f"ws://{url}", agent_rest=f"http://{url}"
        )
    finally:
        started["stop"]()
        thread.join(DEADLINE)
        assert not thread.is_alive()


def told(messages, kind):
    return [message for message in messages if isinstance(message, kind)]


def test_the_sdk_streams_finalizes_and_closes():
    emulator, messages, happened = Emulator(HURRIED, api_key=KEY), [], []
    with served(emulator) as environment:
        client = DeepgramClient(api_key=KEY, environment=environment)
        with client.listen.v1.connect(**ASKED) as connection:
            connection.on(EventType.OPEN, lambda _: happened.append("open"))
            connection.on(EventType.MESSAGE, messages.append)
            connection.on(EventType.ERROR, happened.append)
            connection.on(EventType.CLOSE, lambda _: happened.append("close"))
            listening = threading.Thread(target=connection.start_listening)
            listening.start()
            for at in range(0, 5 * 32000, 3200):
                connection.send_media(numbered(7, at, 3200))
            connection.send_keep_alive()
            connection.send_configure(ListenV1Configure(type="Configure", keyterms=["Deepgram"]))
            connection.send_finalize()
            connection.send_media(numbered(7, 5 * 32000, 32000))
            connection.send_close_stream()
            listening.join(DEADLINE)

    assert not listening.is_alive()
    assert happened == ["open", "close"]  # and no error
    results, spoken = told(messages, ListenV1Results), Speech(7, 16000)
    expected = spoken.between(0, 80000) + spoken.between(80000, 96000)
    words = [word.punctuated_word for final in results if final.is_final for word in final.channel.alternatives[0].words]
    assert words == [word.written for word in expected]
    assert [result.start + result.duration for result in results if result.from_finalize] == [5.0]
    assert any(not result.is_final for result in results)
    assert [message.keyterms for message in told(messages, ListenV1ConfigureSuccess)] == [["Deepgram"]]
    assert isinstance(messages[-1], ListenV1Metadata)
    assert (messages[-1].duration, messages[-1].channels) == (6.0, 1)
    record = emulator.proof.connections[0]
    assert (record.close_sent, record.end, record.received) == ((1000, ""), "close", [(0, 96000)])
    assert record.kinds == {"KeepAlive": 1, "Configure": 1, "Finalize": 1, "CloseStream": 1}


def test_the_async_sdk_does_too():
    emulator, messages = Emulator(HURRIED, api_key=KEY), []

    async def main(environment):
        client = AsyncDeepgramClient(api_key=KEY, environment=environment)
        async with asyncio.timeout(DEADLINE), client.listen.v1.connect(**ASKED) as connection:
            await connection.send_media(numbered(7, 0, 64000))
            await connection.send_close_stream()
            messages.extend([message async for message in connection])

    with served(emulator) as environment:
        asyncio.run(main(environment))

    assert isinstance(messages[-1], ListenV1Metadata)
    assert emulator.proof.connections[0].received == [(0, 32000)]


@pytest.mark.parametrize("status", [401, 429])
def test_the_sdk_is_told_why_it_was_refused(status):
    emulator = Emulator(Plan([Refuse(status=429, retry_after=3.0)] if status == 429 else []), api_key="another")
    with served(emulator) as environment:
        client = DeepgramClient(api_key=KEY, environment=environment)
        # With some versions of its WebSocket library the SDK lets that one's exception through.
        with pytest.raises((ApiError, InvalidStatus)) as raised, client.listen.v1.connect(**ASKED):
            pass

    told = raised.value
    assert str(status) in str(told)
    assert "dg-request-id" in (told.headers if isinstance(told, ApiError) else told.response.headers)
