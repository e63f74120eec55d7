"""One leg of a call as Asterisk has it on AudioSocket: what it sends, and what makes it hang the caller up.

As observed of Asterisk 23 and read in res_audiosocket.c and app_audiosocket.c: a frame every 20 ms, sent without
waiting; an orderly end or the order to hang up lets the dialplan go on; a reset, a frame that is neither audio nor that
order, a full socket, or two seconds with no frame either way tear the caller's call down. Nothing of ours that reads
AudioSocket is used here, or both would agree on the same mistakes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

PTIME = 0.02  # seconds in a frame
TIMEOUT = 2.0  # seconds without a frame in either direction
KINDS = {8000: 0x10, 12000: 0x11, 16000: 0x12, 24000: 0x13, 32000: 0x14, 44100: 0x15, 48000: 0x16, 96000: 0x17, 192000: 0x18}

Payload = Callable[[int], bytes]  # of frame number n; empty after the last one


@dataclass(frozen=True, slots=True)
class Hold:
    """The caller is silent on the wire for so many seconds, after so many of audio."""

    after: float
    seconds: float


@dataclass
class Leg:
    """Bytes to send when they are due, bytes that came, and what Asterisk makes of it. `now` counts from the call's start."""

    uuid: UUID
    payload: Payload
    kind: int
    holds: tuple[Hold, ...] = ()
    digits: tuple[float, ...] = ()  # when a key is pressed
    verdict: str = field(default="", init=False)  # empty while the call is on
    torn_down: bool = field(default=False, init=False)  # the caller was hung up because of the other side
    frames: int = field(default=0, init=False)  # sent
    heard: int = field(default=0, init=False)  # frames of audio that the caller got
    finished: bool = field(default=False, init=False)  # all is said: the connection may be ended in order
    _greeted: bool = field(default=False, init=False)
    _pressed: int = field(default=0, init=False)
    _alive: float = field(default=0.0, init=False)  # when a frame last went either way
    _rest: bytes = field(default=b"", init=False)

    @property
    def seconds(self) -> float:
        """Of audio sent."""
        return self.frames * PTIME

    def due(self, now: float) -> bytes:
        """What is to be sent by now; who was late sends it all at once."""
        if self.verdict or self.finished:
            return b""
        out = b"" if self._greeted else b"\x01\x00\x10" + self.uuid.bytes
        self._greeted = True
        while self._pressed < len(self.digits) and self.digits[self._pressed] <= now:
            out += b"\x03\x00\x01" + b"0123456789*#"[self._pressed % 12 :][:1]
            self._pressed += 1
        while self._spoken(self.frames + 1) <= now + 1e-9:
            payload = self.payload(self.frames)
            if not payload:
                self.finished = True
                break
            out += bytes([self.kind]) + len(payload).to_bytes(2, "big") + payload
            self.frames += 1
            self._alive = max(self._alive, now)
        if not self.finished and now - self._alive > TIMEOUT:
            self._tear_down(f"no frame either way for {TIMEOUT:g} s")
        return out

    def _spoken(self, frame: int) -> float:
        """When so many frames have been spoken, holds included."""
        spoken = frame * PTIME
        return spoken + sum(hold.seconds for hold in self.holds if hold.after < spoken)

    def came(self, data: bytes, now: float) -> None:
        """The other side has sent this."""
        self._rest += data
        while not self.verdict and len(self._rest) >= 3:
            kind, length = self._rest[0], int.from_bytes(self._rest[1:3], "big")
            if kind == 0:
                self._end("it hung up in order; the dialplan goes on")
            elif not 0x10 <= kind <= 0x18:
                self._tear_down(f"it sent a frame of kind 0x{kind:02x}, which is neither audio nor a hang-up")
            elif len(self._rest) < 3 + length:
                return
            else:
                self.heard += 1
                self._alive, self._rest = now, self._rest[3 + length :]

    def ended(self) -> None:
        """The other side has said that it sends nothing more."""
        self._end("all is said, and both sides have ended" if self.finished else "it ended in order; the dialplan goes on")

    def broke(self) -> None:
        """The connection was reset."""
        if self.finished:
            self._end("all is said; it was reset afterwards")
        else:
            self._tear_down("the connection was reset")

    def refused(self, why: str) -> None:
        self._tear_down(f"cannot connect: {why}")

    def blocked(self) -> None:
        """The socket takes no more: Asterisk does not wait for it."""
        self._tear_down("the other side does not read")

    def _end(self, verdict: str) -> None:
        self.verdict = self.verdict or verdict

    def _tear_down(self, verdict: str) -> None:
        if not self.verdict:
            self.verdict, self.torn_down = verdict, True
