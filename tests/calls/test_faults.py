"""The table of faults is the specification: whatever the server and the network do, the call is transcribed whole."""

import pytest

from supervisor.emulator.faults import (
    Close,
    Drop,
    Fin,
    Flood,
    Garbage,
    HalfFrame,
    NoClose,
    NoFinals,
    NoLastFinals,
    NoMetadata,
    Nonsense,
    Page,
    Refuse,
    Reset,
    ShortTail,
    Silent,
    Slow,
    StopAnswering,
    StopReading,
    StopResults,
)
from tests.simulation import PHONE, STEREO, check_whole, transcribe

SENTENCE = "Deepgram did not receive audio data or a text message within the timeout window. See https://dpgr.am/net0001"

SURVIVED = {
    "nothing": [],
    "NET-0000": [Close(audio=5.3, reason="NET-0000")],
    "NET-0000 again and again": [Close(audio=n, reason="NET-0000") for n in (3.2, 5.1, 2.0, 9.4)],
    "NET-0001 as a sentence": [Close(audio=7.7, reason=SENTENCE)],
    "NET-0002": [Close(audio=4.0, reason="NET-0002")],
    "1012": [Close(audio=6.2, code=1012)],
    "1001": [Close(audio=6.2, code=1001, reason="going away")],
    "a code of somebody's own": [Close(audio=6.2, code=4321, reason="?")],
    "closed without a code": [Close(audio=6.2, code=1005)],
    "1000 unasked": [Close(audio=6.2, code=1000)],
    "1009 that is ours": [Garbage(audio=6.2, what="huge")],
    "closed, and never hung up": [Close(audio=5.0, hang_up=False)],
    "pings after the close": [Close(audio=5.0, pings=3)],
    "reset": [Reset(audio=5.3)],
    "reset at once": [Reset(), Reset(), Reset()],
    "hung up": [Fin(audio=5.3)],
    "hung up within a frame": [HalfFrame(audio=5.3), HalfFrame(audio=4.1, then="reset"), HalfFrame(audio=4.1, then="stay")],
    "stops reading": [StopReading(audio=4.4)],
    "stops answering": [StopAnswering(audio=4.4)],
    "stops telling": [StopResults(audio=4.4)],
    "stops telling for a while": [StopResults(audio=4.4, seconds=5.0)],
    "interims without finals": [NoFinals(audio=4.4)],
    "refused for a while": [Refuse(status=status) for status in (503, 500, 502, 504, 408, 425, 499)],
    "too many requests": [Refuse(status=429, retry_after=3.0), Refuse(status=429, retry_after=2.0, as_date=True)],
    "refused without a length": [Refuse(status=503, unmeasured=True), Refuse(status=503, cut=True)],
    "103 and no more": [Refuse(status=103)],
    "hangs up in the opening": [Drop(), Drop(reset=True)],
    "never answers": [Silent()],
    "answers late": [Slow(seconds=4.0)],
    "a proxy's nonsense": [Nonsense(), Page()],
    "accepts and hangs up": [Close(), Fin(), Close(reason="NET-0000")],
    "a message that nobody knows": [[Garbage(audio=a, what=w) for a, w in enumerate(("text", "json", "unknown", "error"), 2)]],
    "a binary message": [Garbage(audio=3.0, what="binary")],
    "a message that is not UTF-8": [Garbage(audio=3.0, what="utf8")],
    "a frame that does not exist": [Garbage(audio=3.0, what="opcode")],
    "a thousand messages at once": [Flood(audio=4.0)],
    "no Metadata at the end": [NoMetadata()],
    "no close at the end": [NoClose()],
    "the end without its finals": [NoLastFinals()],
    "the end without its last second": [ShortTail(seconds=1.2)],
    "dies when asked to end": [Close(finishing=True, code=1011), Reset(finishing=True), StopAnswering(finishing=True)],
    "everything": [
        Refuse(status=503, retry_after=1.0), Close(audio=4.0, reason="NET-0000"), Silent(), Reset(audio=6.3),
        StopAnswering(audio=3.0), Drop(), Fin(audio=2.0), NoLastFinals(),
    ],
}  # fmt: skip


@pytest.mark.parametrize("audio", [PHONE, STEREO], ids=["phone", "stereo"])
@pytest.mark.parametrize("faults", SURVIVED.values(), ids=SURVIVED.keys())
def test_a_call_is_transcribed_whole(faults, audio):
    """Every word once, in order, on the call's own clock; every frame acknowledged; the emulator's count agrees."""
    heard = transcribe(faults, audio=audio)

    check_whole(heard)
