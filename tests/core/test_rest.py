"""When a file is taken to be whole."""

from __future__ import annotations

import pytest

from supervisor.core.audio import AudioFormat
from supervisor.core.rest import Resting, Stamp, announces_more
from supervisor.core.wav import header

A = Stamp(1, 100, 5)


@pytest.mark.parametrize(
    "looks, rests",
    [
        ([(0, A)], False),  # however old it is: a copy may keep the time of what it is a copy of
        ([(0, A), (1.9, A)], False),
        ([(0, A), (2.0, A)], True),
        ([(0, A), (1, A), (2, A._replace(size=101))], False),
        ([(0, A), (2, A._replace(modified=6)), (3.9, A._replace(modified=6))], False),
        ([(0, A), (2, A._replace(modified=6)), (4, A._replace(modified=6))], True),
        ([(0, A), (2, A._replace(inode=2))], False),  # another file of that name and size
        ([(0, A), (1, None), (2, A)], False),  # it was away
        ([(0, A), (1, None), (2, A), (4, A)], True),
        ([(0, A), (1, A._replace(size=0)), (2, A)], False),  # begun anew
    ],
)
def test_a_file_rests_when_nothing_of_it_has_changed_for_two_seconds(looks, rests):
    resting = Resting(2.0)
    for now, stamp in looks:
        found = resting.look(now, {} if stamp is None else {"a": stamp})

    assert found == (["a"] if rests else [])


def test_the_oldest_come_first_and_then_by_name():
    resting = Resting(0.0)

    assert resting.look(0, {"c": Stamp(1, 1, 7), "b": Stamp(2, 1, 7), "a": Stamp(3, 1, 9), "z": Stamp(4, 1, 1)}) == ["z", "b", "c", "a"]


HEADER = header(AudioFormat("linear16", 8000), 1000)


@pytest.mark.parametrize(
    "head, size, more",
    [
        (HEADER, len(HEADER), True),
        (HEADER + bytes(100), len(HEADER) + 999, True),
        (HEADER + bytes(100), len(HEADER) + 1000, False),
        (HEADER + bytes(1000) + b"LIST", len(HEADER) + 1004, False),
        (HEADER + bytes(1000), len(HEADER) + 100, False),  # it has shrunk meanwhile: its stamp tells of that
        (HEADER[:20], 20, False),  # what it announces is not there yet
        (header(AudioFormat("linear16", 8000)) + bytes(10), 10_000, False),  # of a writer that does not know
        (b"fLaC" + bytes(100), 104, False),
        (b"", 0, False),
    ],
)
def test_a_wav_that_is_shorter_than_its_header_says_is_still_to_come(head, size, more):
    assert announces_more(head, size) is more
