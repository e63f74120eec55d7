"""A caller whose words are known, a server that hears what it is sent, and a call between them: the seam's model.

The server is as good as servers are: it knows the words it hears whole, cuts its finals in pauses, and places all words
of a session up to 120 ms off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from supervisor.core.audio import AudioFormat
from supervisor.core.hearing import Hearing, PlacedWord, Said, Skipped
from supervisor.core.ledger import Ledger
from supervisor.core.messages import Alternative, HeardWord, Hypotheses, Results
from supervisor.core.state import CallState
from supervisor.core.timeline import Timeline

RATE = 1000  # so that a frame is a millisecond
MARGIN = 1000
WOBBLE = 120


@dataclass(frozen=True)
class Spoken:
    text: str
    start: int
    end: int


def talk(lengths: list[tuple[int, int]], vocabulary: int = 10**9) -> list[Spoken]:
    """Words from (pause before it, length); after so many different words the first one comes again."""
    words, at = [], 0
    for number, (pause, length) in enumerate(lengths):
        words.append(Spoken(f"w{number % vocabulary}", at + pause, at + pause + length))
        at += pause + length
    return words


@dataclass
class Server:
    """One connection's ears. All its times are frames of its own audio."""

    talks: list[list[Spoken]]
    shift: int
    parts: list[tuple[int, int | None, int]] = field(default_factory=list)  # heard from, place in the call, frames
    heard: int = 0
    since: list[int] = field(default_factory=list)  # the end of each channel's last final
    told: list[set[int]] = field(default_factory=list)

    def hear(self, place: int | None, frames: int) -> None:
        self.parts.append((self.heard, place, frames))
        self.heard += frames

    def recognised(self, channel: int) -> list[tuple[int, int, int]]:
        """Each word that is not yet told: its number, where it begins and ends; those of which half or more was heard."""
        found = []
        for number, word in enumerate(self.talks[channel]):
            if number in self.told[channel]:
                continue
            pieces = self.pieces(word)
            if sum(b - a for a, b in pieces) * 2 > word.end - word.start:
                found.append((number, pieces[0][0], pieces[-1][1]))
        return found

    def being_said(self, channel: int) -> int | None:
        """Where a word begins that goes on after what was heard so far."""
        if not self.parts or self.parts[-1][1] is None:
            return None
        _, place, frames = self.parts[-1]
        for word in self.talks[channel]:
            if word.start < place + frames < word.end:
                return self.pieces(word)[0][0]
        return None

    def pieces(self, word: Spoken) -> list[tuple[int, int]]:
        """Where a word was heard: in more than one piece where it was interrupted."""
        return [
            (at + max(0, word.start - place), at + min(place + frames, word.end) - place)
            for at, place, frames in self.parts
            if place is not None and max(place, word.start) < min(place + frames, word.end)
        ]

    def results(self, channel: int, wanted: int, *, final: bool, flush: bool = False) -> Results | None:
        """What is told of the audio from the last final to about `wanted`."""
        since, upto = self.since[channel], self.heard
        speaking = None if flush else self.being_said(channel)
        words = [word for word in self.recognised(channel) if speaking is None or word[1] < speaking]
        placed = [(n, max(a + self.shift, since), max(b + self.shift, since + 1)) for n, a, b in words]
        end = upto if flush else min(wanted, upto)
        if not flush:
            if speaking is not None:
                end = min(end, max(speaking + self.shift, since))
            for _, a, b in reversed(placed):
                if a < end < b:
                    end = a  # in the pause before it
        if end <= since:
            return None
        told = placed if flush else [word for word in placed if word[1] < end]
        if final:
            self.told[channel] |= {n for n, _, _ in told}
            self.since[channel] = end
        said = [
            HeardWord(self.talks[channel][n].text, min(a, end - 1) / RATE, min(b, end) / RATE, 0.9) for n, a, b in told
        ]
        text = " ".join(word.word for word in said)
        return Results(
            since / RATE,
            (end - since) / RATE,
            Hypotheses((Alternative(text, 0.9, tuple(said)),)),
            final,
            channel_index=(channel, len(self.talks)),
        )


class Line:
    """A call: what the caller says, what goes out, and what is delivered."""

    def __init__(self, talks: list[list[Spoken]], *, whole_finals: bool = False) -> None:
        self.talks = talks
        self.whole_finals = whole_finals
        self.format = AudioFormat("mulaw", RATE, len(talks))
        self.state = CallState.beginning("call", "session", self.format)
        self.ledger = Ledger(self.format, self.state.at)
        self.said: list[Said] = []
        self.gaps: list[tuple[int | None, int, int]] = []
        self.connect(0)

    def all_differ(self, channel: int) -> bool:
        return len({word.text for word in self.talks[channel]}) == len(self.talks[channel])

    def connect(self, shift: int) -> None:
        self.timeline = Timeline(RATE)
        self.hearing = Hearing(self.state, self.ledger, self.timeline)
        self.reader = self.ledger.reader(self.state.replay_from(MARGIN, whole_finals=self.whole_finals))
        self.server = Server(self.talks, shift)
        self.server.since = [0 for _ in self.talks]
        self.server.told = [set() for _ in self.talks]
        self.skipping: set[int] = set()  # channels whose next final begins after a hole

    def write(self, frames: int) -> None:
        self.ledger.write(b"x" * frames * len(self.talks))

    def send(self, frames: int) -> None:
        while frames > 0 and (audio := self.reader.peek(frames)):
            count = len(audio) // len(self.talks)
            self.server.hear(self.reader.position, count)
            self.timeline.sent(self.reader.position, count)
            self.reader.advance(count)
            frames -= count

    def silence(self, frames: int) -> None:
        """Of ours, and only in a pause that is longer than the server is wrong about places."""
        at = self.reader.position
        if all(not (word.start - WOBBLE <= at <= word.end + WOBBLE) for words in self.talks for word in words):
            self.server.hear(None, frames)
            self.timeline.silence(frames)
            self.ledger.at.injected_frames += frames

    def hear(self, channel: int, extent: int, *, final: bool = True, flush: bool = False) -> None:
        channel %= len(self.talks)
        results = self.server.results(channel, self.server.since[channel] + extent, final=final, flush=flush)
        if results is None:
            return
        if final:
            self.skipping.discard(channel)
        before = (self.state.at.acknowledged, self.state.seq, self.state.at.lost_frames)
        for told in self.hearing.results(results):
            if isinstance(told, Skipped):
                self.gaps.append((told.channel, told.start, told.end))
            elif final:
                self.said.append(told)
            elif self.all_differ(channel):
                done = {word.word for said in self.said if said.channel == channel for word in said.words}

                assert not done & {word.word for word in told.words}, "told again in an interim"
        if final:
            self.timeline.forget(results.end)
            self.ledger.release(self.state.replay_from(MARGIN, whole_finals=self.whole_finals))
        else:
            assert before == (self.state.at.acknowledged, self.state.seq, self.state.at.lost_frames)

    def skip(self, channel: int, frames: int) -> None:
        """The server passes over so much: what is in it is told in no final."""
        server, channel = self.server, channel % len(self.talks)
        end = min(server.since[channel] + frames, server.heard)
        speaking = server.being_said(channel)
        hole = self.timeline.start(end / RATE) - self.state.at.watermarks[channel]
        if hole <= 500 or (speaking is not None and speaking + server.shift < end):
            return  # what is no more than a breath is taken for one
        for number, a, _ in server.recognised(channel):
            if a + server.shift < end:
                server.told[channel].add(number)
        server.since[channel] = end
        self.skipping.add(channel)

    def lose(self, frames: int) -> None:
        if self.skipping:
            return  # it could make a breath of the hole
        self.gaps += [(each.channel, each.start, each.end) for each in self.ledger.let_go(frames)]

    def finish(self) -> None:
        end = max((word.end for words in self.talks for word in words), default=0) + 300
        if end > self.ledger.at.written:
            self.write(end - self.ledger.at.written)
        self.send(10**9)
        for channel in range(len(self.talks)):
            self.hear(channel, 10**9, flush=True)

    def check(self) -> None:
        at = self.state.at

        assert (
            at.heard_frames == at.acknowledged_frames + at.lost_frames + at.withheld_frames + self.ledger.unfinished()
        )
        assert [said.seq for said in self.said] == list(range(self.state.seq))
        for channel, words in enumerate(self.talks):
            mine = [said for said in self.said if said.channel == channel]
            assert [said.segment for said in mine] == list(range(len(mine)))
            assert all(before.start <= after.start for before, after in pairwise(mine))
            self.check_words(words, [word for said in mine for word in said.words], channel)

    def check_words(self, spoken: list[Spoken], delivered: list[PlacedWord], channel: int) -> None:
        gaps = [(a, b) for each, a, b in self.gaps if each in (None, channel)]

        def near_a_gap(word: Spoken) -> bool:
            return any(a < word.end + 2 * WOBBLE and word.start - 2 * WOBBLE < b for a, b in gaps)

        texts = [word.word for word in delivered]
        if self.all_differ(channel):
            assert len(set(texts)) == len(texts), f"twice in {texts}"
        left = iter(delivered)
        following = next(left, None)
        for word in spoken:
            if following is not None and following.word == word.text:
                if not near_a_gap(word):
                    assert abs(following.start - word.start) <= WOBBLE, (word, following)
                    assert abs(following.end - word.end) <= WOBBLE, (word, following)
                following = next(left, None)
            else:
                assert near_a_gap(word), f"{word} is missing in {texts}"
        assert following is None, f"{following} is too much in {texts}"


def play(line: Line, steps: list[tuple]) -> None:
    for step, *arguments in steps:
        match step:
            case "final":
                line.hear(*arguments)
            case "interim":
                line.hear(*arguments, final=False)
            case "flush":
                channel = arguments[0] % len(line.talks)
                if line.server.being_said(channel) is None:  # within a word it would be the server's loss
                    line.hear(channel, 10**9, flush=True)
            case _:
                getattr(line, step)(*arguments)
    line.finish()
    line.check()
