"""What `/v1/listen` is told, word for word, and which end is the whole answer to CloseStream."""

from __future__ import annotations

import json

import pytest

from supervisor.core.closure import Closure
from supervisor.core.dialect import LISTEN_V1


@pytest.mark.parametrize(
    "text, kind",
    [(LISTEN_V1.keepalive, "KeepAlive"), (LISTEN_V1.finalize, "Finalize"), (LISTEN_V1.close_stream, "CloseStream")],
)
def test_a_control_is_an_object_with_its_type_alone(text: str, kind: str) -> None:
    assert {"type": kind} == json.loads(text)


@pytest.mark.parametrize("code", [1000, 1005, 1006, 1011, None])
@pytest.mark.parametrize("finishing", [False, True])
@pytest.mark.parametrize("metadata", [False, True])
def test_only_metadata_and_a_1000_after_closestream_complete(code: int | None, finishing: bool, metadata: bool) -> None:
    closure = Closure(code=code, opened=True, finishing=finishing, metadata=metadata)

    assert (code == 1000 and finishing and metadata) == LISTEN_V1.completes(closure)


def test_a_frame_is_what_the_service_advises() -> None:
    """Deepgram: buffers of 20 to 250 ms of audio."""
    assert 0.02 <= LISTEN_V1.shortest_frame <= LISTEN_V1.longest_frame <= 0.25
