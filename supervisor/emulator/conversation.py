"""What one accepted connection hears and says: a decision for every message, timer and fault, without a socket.

The audio's messages are decided by its positions alone, and only then given a time: that of the audio (throttled above
1.25 times real time) and a latency by chance. So the same audio and the same seed give the same words, however it was
cut into messages and whenever it came.

What is to be done is asked for with `actions`, and `next` is when to ask again. A fault that a socket suffers is an
action too; the others happen here.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from ..core.audio import AudioFormat
from .engine import Ear, Engine, Wobble
from .faults import (
    Fault,
    Finishing,
    Flood,
    Hole,
    NoClose,
    NoFinals,
    NoLastFinals,
    NoMetadata,
    NoWordEnd,
    ShortTail,
    StopReading,
    StopResults,
    Stream,
    Undecodable,
    name_of,
)
from .habits import Habits
from .listening import Ask, wav_audio
from .proof import Connection
from .results import VARIANTS, Teller, error, is_list_of_text, one_of, schema_error, shown, value_ends
from .saying import NO_CODE, Action, End, Say
from .window import Told, Window

SEE = "within the timeout window. See https://dpgr.am/"
NET_0000 = f"Deepgram did not provide a response message {SEE}net0000"
NET_0001 = f"Deepgram did not receive audio data or a text message {SEE}net0001"
NET_0002 = f"Deepgram did not receive audio data {SEE}net0002"  # by analogy: its words are not known
DATA_0000 = "DATA-0000"
STEPS = 10  # looks at the audio in one interim's worth
LONGEST_HEAD = 1 << 20  # bytes of a container before its audio


class Conversation:
    def __init__(
        self,
        ask: Ask,
        record: Connection,
        *,
        engine: Engine,
        habits: Habits,
        faults: Sequence[Fault],
        chance: random.Random,
        created: str,
        now: float,
    ) -> None:
        self._ask = ask
        self._record = record
        self._engine = engine
        self._habits = habits
        self._chance = chance
        self._delays = random.Random(chance.getrandbits(64))  # of its own: time must not change words
        self._created = created
        self._opened = self._heard_at = self._audio_at = now
        self._finishing_faults = [fault for fault in faults if isinstance(fault, Finishing)]
        self._waiting = [fault for fault in faults if isinstance(fault, Stream)]
        self._actions: deque[Action] = deque()
        self._queue: deque[tuple[float, Say | End]] = deque()  # by the time they are due
        self._held_until = -math.inf
        self._line = -math.inf  # when all audio so far will have been worked through
        self._hash = hashlib.sha256()
        self._head = b""  # of a container, until its audio begins
        self._torn = b""  # less than a sample frame
        self._steps = 0  # looks at the audio so far
        self._garbage_since: float | None = None
        self._finishing = False
        self._ended = False
        self._hole = 0.0  # to be told to windows that do not exist yet
        self._ear: Ear | None = None
        self._windows: list[Window] = []
        self._audio: AudioFormat | None = None
        if ask.audio:
            self._listen(ask.audio)
        self._happen((each for each in self._waiting if each.audio is each.time is None and not each.finishing), now)

    def _listen(self, audio: AudioFormat) -> None:
        self._audio = audio
        self._record.hears(audio)
        ear: Ear = self._engine.listen(audio, self._record.runs)
        if self._habits.wobble:
            ear = Wobble(ear, audio, random.Random(self._chance.getrandbits(64)))
        self._ear = ear
        channels = audio.channels if self._ask.multichannel else 1
        self._teller = self._teller_of(audio.sample_rate, channels)
        self._windows = [
            Window(
                channel, ear, self._teller, self._ask.orders, self._habits, random.Random(self._chance.getrandbits(64))
            )
            for channel in range(channels)
        ]
        for window in self._windows if self._hole else ():
            window.hole(self._hole)

    def _teller_of(self, sample_rate: int, channels: int) -> Teller:
        ask = self._ask
        return Teller(self._record.request_id, ask.model, sample_rate, channels, ask.formatted, ask.diarized)

    # What comes

    def binary(self, data: bytes, now: float) -> None:
        """Audio; an empty message is a request to end (Deepgram, Troubleshooting WebSocket, NET and DATA errors)."""
        self._heard_at = now
        if not data:
            self._record.zero_length += 1
            self._close_stream(now)
            return
        if self._finishing or self._ended:
            return
        self._audio_at = now
        self._hash.update(data)
        if self._audio is None:
            data = self._unwrapped(data, now)
        if data and self._garbage_since is None:
            self._hear(data, now)
        seconds = self._record.seconds
        self._happen((each for each in self._waiting if each.audio is not None and seconds >= each.audio), now)

    def _unwrapped(self, data: bytes, now: float) -> bytes:
        """The audio that follows a container's head, once that has come."""
        self._head += data
        try:
            found = wav_audio(self._head)
            if found is None and len(self._head) > LONGEST_HEAD:
                raise ValueError("a head without an end")
        except ValueError:
            self._not_audio(now)
            return b""
        if found is None:
            return b""
        audio, begins = found
        self._listen(audio)
        return self._head[begins:]

    def _not_audio(self, now: float) -> None:
        if self._garbage_since is None:
            self._garbage_since = now
            self._queue.clear()

    def _hear(self, data: bytes, now: float) -> None:
        audio, ear = self._audio, self._ear
        assert audio is not None
        assert ear is not None
        self._record.arrived(data, now)
        data = self._torn + data
        torn = len(data) % audio.frame_bytes
        data, self._torn = data[: len(data) - torn], data[len(data) - torn :]
        ear.feed(data)
        frames, habits = self._record.frames, self._habits
        spare = habits.burst / habits.rate
        self._line = max(self._line, now - spare) + audio.seconds(len(data) // audio.frame_bytes) / habits.rate
        while (position := self._step_ends(audio)) <= frames:
            self._steps += 1
            ready = max(now, self._line - audio.seconds(frames - position) / habits.rate)
            for window in self._windows:
                self._tell(window.step(position, self._steps % STEPS == 0), ready)

    def _step_ends(self, audio: AudioFormat) -> int:
        return round((self._steps + 1) * self._habits.interim * audio.sample_rate / STEPS)

    def text(self, text: str, now: float) -> None:
        self._heard_at = now
        self._record.texts.append((now, text))
        if self._ended:
            return
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
            self._reply(schema_error(f"{problem} at line 1 column 1", text), now)
            return
        kind = message.get("type") if isinstance(message, dict) else None
        self._record.kinds[kind if isinstance(kind, str) else "?"] += 1
        match kind:
            case "KeepAlive" | "Sync":
                pass
            case "Finalize":
                channel = message.get("channel")
                if channel is None or (type(channel) is int and channel >= 0):
                    self._finalize(channel, now)
                else:
                    self._reply(schema_error(f"invalid type: {shown(channel)}, expected u32", text), now)
            case "CloseStream":
                self._close_stream(now)
            case "Configure":
                self._configure(message, text, now)
            case str():
                where = f" at line 1 column {value_ends(text)}"
                self._reply(schema_error(f"unknown variant `{kind[:100]}`, {one_of(VARIANTS)}{where}", text), now)
            case _:
                self._reply(schema_error("missing field `type`", text), now)

    def _configure(self, message: dict[str, object], text: str, now: float) -> None:
        known = ("features", "processors", "keyterms", "language_hints")
        if unknown := next((key for key in message if key not in (*known, "type")), None):
            self._reply(schema_error(f"unknown field `{unknown[:100]}`, {one_of(known)}", text), now)
        elif not is_list_of_text(terms := message.get("keyterms")):
            self._reply(schema_error(f"invalid type: {shown(terms)}, expected a sequence", text), now)
        elif terms is not None and not self._ask.keyterms:
            said = "`keyterms` are only supported for Nova-3 and Flux."
            self._reply(error("InvalidConfigureMessage", said, code="KeytermsNotSupported"), now)
        else:
            self._reply(self._teller_of(1, 1).configured(terms), now)

    def _finalize(self, channel: int | None, now: float) -> None:
        if self._finishing or self._audio is None or self._garbage_since is not None:
            return
        position, least = self._record.frames, self._audio.frames(self._habits.finalize_least)
        for number, window in enumerate(self._windows):
            if channel in (None, number) and window.unfinished(position) >= least:
                self._tell(window.flush(position, asked=True), max(now, self._line))

    def _close_stream(self, now: float) -> None:
        """Last finals, Metadata, 1000."""
        if self._finishing or self._ended:
            return
        self._finishing = True
        self._happen((each for each in self._waiting if each.finishing), now)
        ready, position = max(now, self._line), self._record.frames
        if self._garbage_since is None and not self._finishes(NoLastFinals):
            tail = next((each.seconds for each in self._finishing_faults if isinstance(each, ShortTail)), 0.0)
            self._finishes(ShortTail)
            for window in self._windows:
                self._tell(window.flush(position, asked=False, tail=tail), ready)
        if not self._finishes(NoMetadata):
            self._put(Say(self._metadata(), metadata=True), ready)
        if not self._finishes(NoClose):
            self._put(End(1000, ""), ready)

    def _finishes(self, kind: type[Finishing]) -> bool:
        """Whether this goes wrong with the end; then it is noted."""
        found = any(isinstance(each, kind) for each in self._finishing_faults)
        if found:
            self._record.faults.append(name_of(kind))
        return found

    def _metadata(self) -> bytes:
        decoded = self._audio is not None and self._garbage_since is None and self._record.frames > 0
        frames, channels = (self._record.frames, self._audio.channels) if decoded and self._audio else (0, 0)
        teller = self._teller_of(self._audio.sample_rate if self._audio else 1, 1)
        return teller.metadata(self._hash.hexdigest(), self._created, frames, channels)

    # What is said

    def _tell(self, told: Iterable[Told], ready: float) -> None:
        for each in told:
            final = (each.channel, *each.final) if each.final else None
            self._put(Say(each.text, final), ready + self._delays.uniform(*self._habits.latency))

    def _reply(self, text: bytes, now: float) -> None:
        self._put(Say(text), now + self._habits.latency[0])

    def _put(self, what: Say | End, due: float) -> None:
        """In order: nothing overtakes what was put before."""
        if self._queue:
            due = max(due, self._queue[-1][0])
        self._queue.append((due, what))

    def _happen(self, faults: Iterable[Stream], now: float) -> None:
        for fault in list(faults):
            self._waiting.remove(fault)
            self._record.faults.append(name_of(type(fault)))
            match fault:
                case NoFinals():
                    self._ask.orders.no_finals = True
                case NoWordEnd():
                    self._ask.orders.no_word_end = True
                case Undecodable():
                    self._not_audio(now)
                case StopResults():
                    self._held_until = now + fault.seconds
                case Hole():
                    self._hole = fault.seconds
                    for window in self._windows:
                        window.hole(fault.seconds)
                case Flood():
                    empty = self._teller_of(1, 1).results(0, 0, 0, [], final=False, speech=False, asked=False)
                    self._actions.extend([Say(empty)] * fault.messages)
                case _:
                    self._actions.append(fault)
                    if isinstance(fault, StopReading):
                        self._opened = self._heard_at = self._audio_at = math.inf  # it cannot know what comes

    def end(self) -> None:
        """The connection is closing: nothing more is said."""
        self._ended = True
        self._queue.clear()
        self._actions.clear()

    def actions(self, now: float) -> Iterable[Action]:
        """What is to be done now, in order, as long as it is asked for."""
        self._happen((each for each in self._waiting if each.time is not None and now >= self._opened + each.time), now)
        while self._actions and not self._ended:
            yield self._actions.popleft()
        if not self._ended and now >= self._held_until:
            while self._queue and self._queue[0][0] <= now and not self._ended:
                what = self._queue.popleft()[1]
                self._ended = isinstance(what, End)
                yield what
        if not self._ended:
            yield from self._timed_out(now)

    def next(self) -> float:
        """When something is to be done, if nothing comes before."""
        if self._ended:
            return math.inf
        if self._actions:
            return -math.inf
        due = max(self._queue[0][0], self._held_until) if self._queue else math.inf
        times = (self._opened + each.time for each in self._waiting if each.time is not None)
        return min([due, *times, *(deadline for deadline, _ in self._deadlines())])

    def _deadlines(self) -> Iterable[tuple[float, End]]:
        habits = self._habits
        if self._garbage_since is not None:
            if not self._finishing:
                code = 1008 if habits.undecodable_close else NO_CODE
                yield self._garbage_since + habits.undecodable, End(code, DATA_0000 if code == 1008 else "")
        elif not self._finishing:
            if not self._record.told:
                heard = bool(self._record.size)
                yield self._opened + habits.first_message, End(1011, NET_0000 if heard else NET_0002)
            if habits.no_audio:
                yield self._audio_at + habits.no_audio, End(1011, NET_0002)
        if not self._finishing:  # or it is busy, not idle
            yield self._heard_at + habits.idle, End(1011, NET_0001)

    def _timed_out(self, now: float) -> Iterable[Action]:
        over = [(deadline, end) for deadline, end in self._deadlines() if deadline <= now]
        if over:
            _, end = min(over, key=lambda each: each[0])
            if self._garbage_since is not None:
                yield Say(self._metadata(), metadata=True)
            yield end
