"""A call's state is one value: written down in the middle of a call, it goes on elsewhere as if nothing had been."""

from __future__ import annotations

import msgspec
import pytest

from supervisor.core.audio import AudioFormat
from supervisor.core.hearing import Hearing
from supervisor.core.ledger import Ledger, Positions
from supervisor.core.messages import Alternative, HeardWord, Hypotheses, Results
from supervisor.core.state import CallState, ChannelState
from supervisor.core.timeline import Timeline

STEREO = AudioFormat("linear16", 100, 2)
MARGIN = 100


def final(start: float, end: float, channel: int, *words: str) -> Results:
    """The words at even distances."""
    step = (end - start) / (len(words) or 1)
    placed = tuple(HeardWord(word, start + n * step, start + n * step + 0.2, 0.9) for n, word in enumerate(words))
    return Results(
        start, end - start, Hypotheses((Alternative(" ".join(words), 0.9, placed),)), True, channel_index=(channel, 2)
    )


def session(state: CallState, ledger: Ledger) -> Hearing:
    """A new one, sent all that there is."""
    timeline = Timeline(state.sample_rate)
    reader = ledger.reader(state.replay_from(MARGIN, whole_finals=False))
    hearing = Hearing(state, ledger, timeline)
    audio = reader.peek(10_000)
    timeline.sent(reader.position, len(audio) // ledger.format.frame_bytes)
    reader.advance(len(audio) // ledger.format.frame_bytes)
    return hearing


def half_a_call() -> CallState:
    state = CallState.beginning("call", "session-id", STEREO)
    ledger = Ledger(STEREO, state.at)
    ledger.write(b"abcd" * 500 + b"e")  # torn
    ledger.withhold(100)
    hearing = session(state, ledger)
    hearing.results(final(0.0, 4.0, 0, "one", "two", "three", "four"))
    hearing.results(final(0.0, 2.0, 1, "uno", "dos"))
    ledger.lose(300, 320, 1)
    state.sessions, state.billed = 1, 5.0
    state.latencies.add(0.7)
    return state


def the_other_half(state: CallState) -> list[object]:
    """What a successor that has the audio from somewhere tells, and where it ends."""
    ledger = Ledger(STEREO, state.at)
    ledger.write(b"fgh" + b"abcd" * 400)
    hearing = session(state, ledger)
    told: list[object] = [*hearing.results(final(0.0, 1.0, 0, "five")), *hearing.results(final(0.0, 1.0, 1, "tres"))]
    return [*told, state.at.written, list(state.at.watermarks), state.seq, ledger.unfinished()]


@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack])
def test_a_successor_goes_on_where_the_call_was(codec):
    state = half_a_call()

    taken_up = codec.decode(codec.encode(state), type=CallState)

    assert state == taken_up
    assert the_other_half(half_a_call()) == the_other_half(taken_up)
    assert taken_up.at.written == 1001


def test_it_holds_nothing_that_cannot_be_written_down():
    """No task, socket, clock or callable: plain values all the way down."""

    def leaves(value: object) -> list[object]:
        if isinstance(value, dict):
            return [leaf for pair in value.items() for each in pair for leaf in leaves(each)]
        return [leaf for each in value for leaf in leaves(each)] if isinstance(value, list | tuple) else [value]

    found = leaves(msgspec.to_builtins(half_a_call()))

    assert {type(leaf) for leaf in found} <= {int, float, str, bool, type(None)}


@pytest.mark.parametrize(
    "watermarks, finals, whole_finals, position",
    [
        ([0], [0], False, 0),
        ([50], [20], False, 0),  # not before the call
        ([500], [300], False, 400),
        ([500], [300], True, 300),
        ([500], [500], True, 500),
        ([500], [600], True, 500),  # the last final lies after a hole: never later than what is unsaid
        ([500, 900], [300, 100], False, 400),
        ([500, 900], [300, 100], True, 100),
        ([900, 500], [800, 450], True, 450),
    ],
)
def test_where_a_new_session_starts(watermarks, finals, whole_finals, position):
    state = CallState.beginning("call", "session-id", AudioFormat("mulaw", 100, len(watermarks)))
    state.at = Positions(settled=[], watermarks=watermarks)
    state.channels = [ChannelState(final_start=start) for start in finals]

    assert state.replay_from(MARGIN, whole_finals=whole_finals) == position
