"""The ledger's edges, one by one; any history of it is in test_model_ledger."""

from __future__ import annotations

import msgspec

from supervisor.core.audio import AudioFormat
from supervisor.core.ledger import Ledger, Positions


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
    ledger.let_go(6)
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


def test_making_room_where_there_is_nothing_to_lose_keeps_what_a_replay_needs():
    """All is acknowledged: what is still held may hold the beginning of a word that no final has told yet."""
    ledger = Ledger(AudioFormat("mulaw", 4, 1))
    ledger.write(b"abcdefgh")
    ledger.reader(0).advance(8)
    ledger.acknowledge(0, 0, 8)

    assert ledger.let_go(4) == []
    assert ledger.reader(4).peek(9) == b"efgh"


def test_a_reader_that_fell_behind_does_not_count_what_was_given_up_as_its_backlog():
    ledger = Ledger(AudioFormat("mulaw", 4, 1))
    ledger.write(b"abcdefgh")
    reader = ledger.reader(0)
    ledger.let_go(6)

    assert reader.backlog == 2
