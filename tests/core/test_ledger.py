"""The ledger against a model that never forgets: a plain list with one fate for each sample frame and channel."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.audio import AudioFormat
from supervisor.core.ledger import Ledger, Positions

POSITIONS = st.integers(0, 60)
STEPS = st.one_of(
    st.tuples(st.just("write"), st.binary(max_size=12)),
    st.tuples(st.just("fill"), st.integers(0, 5)),
    st.tuples(st.just("withhold"), st.integers(0, 5)),
    st.tuples(st.just("read"), st.integers(0, 12)),
    st.tuples(st.just("acknowledge"), st.tuples(st.integers(0, 1), POSITIONS, POSITIONS)),
    st.tuples(st.just("lose"), st.tuples(st.sampled_from([None, 0, 1]), POSITIONS, POSITIONS)),
    st.tuples(st.just("lose_oldest"), st.integers(0, 10)),
    st.tuples(st.just("release"), st.integers(0, 5)),
    st.tuples(st.just("reconnect"), st.integers(0, 5)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_any_history_adds_up(steps):
    """heard = acknowledged + lost + withheld + unfinished, and a reader sees what was written, without holes filled in."""
    audio_format = AudioFormat("mulaw", 4, 2)  # a segment is four frames, so that there are many
    ledger = Ledger(audio_format)
    raw, remainder = bytearray(), b""
    fates: list[list[str]] = []  # of each frame, for each channel
    reader = ledger.reader(0)
    sent = 0
    for step, argument in steps:
        if step == "write":
            remainder += argument
            whole = len(remainder) // 2 * 2
            raw += remainder[:whole]
            fates += [["", ""] for _ in range(whole // 2)]
            assert ledger.write(argument) == whole // 2
            remainder = remainder[whole:]
        elif step == "fill":
            ledger.fill(argument)
            raw += b"\xff\xff" * argument
            fates += [["", ""] for _ in range(argument)]
        elif step == "withhold":
            ledger.withhold(argument)
            raw += b"??" * argument
            fates += [["w", "w"] for _ in range(argument)]
        elif step == "read":
            audio = reader.peek(argument)
            start, count = reader.position, len(audio) // 2
            assert audio == bytes(raw[start * 2 : (start + count) * 2])
            assert all("w" not in fate for fate in fates[start : start + count])
            reader.advance(count)
            sent = max(sent, start + count)
        elif step == "acknowledge":
            channel, start, end = argument
            ledger.acknowledge(channel, start, end)
            for fate in fates[start : min(end, sent)]:
                fate[channel] = fate[channel] or "a"
        elif step == "lose":
            channel, start, end = argument
            fresh = {position for a, b in ledger.lose(start, end, channel) for position in range(a, b)}
            expected = set()
            for position in range(start, min(end, len(fates))):
                for each in (0, 1) if channel is None else (channel,):
                    if not fates[position][each]:
                        fates[position][each] = "l"
                        expected.add(position)
            assert fresh == expected
        elif step == "lose_oldest":
            before = ledger.at.acknowledged
            fresh = {position for a, b in ledger.lose_oldest(argument) for position in range(a, b)}
            expected = set()
            for position in range(before, min(before + argument, len(fates))):
                for each in (0, 1):
                    if not fates[position][each]:
                        fates[position][each] = "l"
                        expected.add(position)
            assert fresh == expected
        elif step == "release":
            ledger.release(ledger.at.acknowledged - argument)
        else:
            reader = ledger.reader(max(0, ledger.at.acknowledged - argument))
        check(ledger, fates)


def check(ledger, fates):
    at = ledger.at
    watermarks = [next((n for n, fate in enumerate(fates) if not fate[channel]), len(fates)) for channel in (0, 1)]
    assert at.watermarks == watermarks
    assert at.acknowledged == min(watermarks)
    assert at.written == at.heard_frames == len(fates)
    lost = sum("l" in fate for fate in fates)
    withheld = sum("w" in fate for fate in fates)
    done = sum("l" not in fate and "w" not in fate for fate in fates[: at.acknowledged])
    assert (at.lost_frames, at.withheld_frames, at.acknowledged_frames) == (lost, withheld, done)
    assert at.heard_frames == at.acknowledged_frames + at.lost_frames + at.withheld_frames + ledger.unfinished()
    assert ledger.size <= (at.written - ledger.floor + ledger.format.sample_rate) * 2


def test_a_reader_goes_on_across_segments_and_jumps_over_what_was_given_up():
    """A peek is never torn by a segment's end, and never joins what a hole separates."""
    ledger = Ledger(AudioFormat("mulaw", 4, 1))
    ledger.write(b"abcdefgh")
    ledger.write(b"ijkl")
    ledger.withhold(3)
    ledger.write(b"mnop")
    reader = ledger.reader(1)
    assert reader.peek(7) == b"bcdefgh"
    reader.advance(7)
    assert reader.peek(99) == b"ijkl"
    reader.advance(4)
    assert (reader.peek(99), reader.position) == (b"mnop", 15)
    early = ledger.reader(0)
    ledger.lose_oldest(6)
    assert (early.peek(2), early.position) == (b"gh", 6)


def test_nothing_unsent_is_ever_acknowledged():
    """Whatever a server says of audio it was not given."""
    ledger = Ledger(AudioFormat("mulaw", 4, 1))
    ledger.write(b"abcdef")
    ledger.reader(0).advance(2)
    ledger.acknowledge(0, 0, 6)
    assert ledger.at.acknowledged == 2


def test_positions_survive_being_written_down():
    """A successor takes the account up where it was left."""
    import msgspec

    ledger = Ledger(AudioFormat("linear16", 8, 1))
    ledger.write(b"abcde")
    ledger.reader(0).advance(2)
    ledger.acknowledge(0, 0, 1)
    taken_up = msgspec.json.decode(msgspec.json.encode(ledger.at), type=Positions)
    assert taken_up == ledger.at
    again = Ledger(ledger.format, taken_up)
    again.write(b"f")  # the other half of a sample
    assert again.at.written == 3
    assert again.reader(0).peek(9) == b"ef"
