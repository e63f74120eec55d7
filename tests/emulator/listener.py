"""A conversation without a socket, for tests: what is sent is spoken at once, and time passes when it is told to."""

import json
import random

from supervisor.emulator.conversation import Conversation
from supervisor.emulator.engine import NumberedEngine
from supervisor.emulator.habits import Habits
from supervisor.emulator.listening import ask_of
from supervisor.emulator.numbered import numbered
from supervisor.emulator.proof import Connection
from supervisor.emulator.saying import End, Say
from supervisor.emulator.speech import Speech

from .client import LISTEN, SALT, words_of

SECOND = 8000  # bytes, and sample frames, of a telephone's audio
NET_0000 = "Deepgram did not provide a response message within the timeout window. See https://dpgr.am/net0000"
NET_0001 = (
    "Deepgram did not receive audio data or a text message within the timeout window. See https://dpgr.am/net0001"
)


class Listener:
    """A conversation without a socket: what is sent is spoken at once, and time passes when it is told to."""

    def __init__(self, query="", *, faults=(), seed=0, habits=None, target=None):
        self.record = Connection(0, 0.0, request_id="r")
        self.now = 100.0
        self.heard = []  # when, and JSON or End
        self.position = 0
        self.conversation = Conversation(
            ask_of((target or LISTEN) + query),
            self.record,
            engine=NumberedEngine(),
            habits=habits or Habits(),
            faults=faults,
            chance=random.Random(seed),
            created="2026-01-01T00:00:00.000Z",
            now=self.now,
        )

    def speak(self, seconds, *, piece=0.1, rate=1.0):
        """Numbered audio, as it is spoken or faster."""
        left = round(seconds * SECOND)
        while left > 0:
            size = min(left, round(piece * SECOND))
            self.audio(numbered(SALT, self.position, size))
            self.position += size
            left -= size
            self.wait(size / SECOND / rate)
        return self

    def silent(self, seconds, piece=0.1):
        for _ in range(round(seconds / piece)):
            self.audio(b"\xff" * round(piece * SECOND))
            self.wait(piece)
        return self

    def audio(self, data):
        self.conversation.binary(data, self.now)
        return self

    def control(self, kind, **more):
        return self.text(json.dumps({"type": kind, **more}))

    def text(self, text):
        self.conversation.text(text, self.now)
        return self

    def wait(self, seconds):
        until = self.now + seconds
        while (then := max(self.now, self.conversation.next())) <= until:
            self.now = then
            done = list(self.conversation.actions(self.now))
            assert done or self.conversation.next() > self.now  # or a server would spin
            for action in done:
                if isinstance(action, Say):
                    self.record.told += 1
                    self.heard.append((self.now, json.loads(action.text)))
                else:
                    self.heard.append((self.now, action))
                    if isinstance(action, End):
                        self.conversation.end()
        self.now = until
        return self

    def of(self, kind):
        return [each for _, each in self.heard if isinstance(each, dict) and each["type"] == kind]

    @property
    def results(self):
        return self.of("Results")

    @property
    def finals(self):
        return [each for each in self.results if each["is_final"]]

    @property
    def interims(self):
        return [each for each in self.results if not each["is_final"]]

    @property
    def ends(self):
        return [(round(now - 100, 3), each) for now, each in self.heard if isinstance(each, End)]

    def words(self, channel=0):
        return [
            word["word"]
            for final in self.finals
            if final["channel_index"][0] == channel
            for word in words_of(final)
        ]


def spoken(seconds, channel=0):
    return [each.word for each in Speech(SALT, SECOND, channel).between(0, round(seconds * SECOND))]
