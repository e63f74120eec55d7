"""The seam, case by case: what is cut, what is kept, and what follows from it; any history is in test_model_seam.

The caller says numbered words at known places, and the server tells finals of any stretch of them.
"""

from __future__ import annotations

from supervisor.core.audio import AudioFormat
from supervisor.core.hearing import Hearing, Said, Skipped
from supervisor.core.ledger import Ledger
from supervisor.core.messages import Alternative, HeardWord, Hypotheses, Results, SpeechStarted, UtteranceEnd
from supervisor.core.state import CallState
from supervisor.core.timeline import Timeline

RATE = 1000
FORMAT = AudioFormat("mulaw", RATE, 1)
MARGIN = RATE


class Talk:
    """A call and the server's side of it. The caller says word n from n*0.4+0.1 to n*0.4+0.4 s."""

    def __init__(self, audio_format=FORMAT, *, whole_finals=False):
        self.state = CallState.beginning("call", "session-id", audio_format)
        self.ledger = Ledger(audio_format, self.state.at)
        self.delivered: list[str] = []
        self.said: list[Said] = []
        self.skipped: list[Skipped] = []
        self.whole_finals = whole_finals
        self.connect()

    def connect(self):
        self.timeline = Timeline(RATE)
        self.hearing = Hearing(self.state, self.ledger, self.timeline)
        self.reader = self.ledger.reader(self.state.replay_from(MARGIN, whole_finals=self.whole_finals))
        self.told = 0  # frames of this session that are in a final
        self.session_places: list[int | None] = []

    def send(self, frames):
        if audio := self.reader.peek(frames):
            count = len(audio) // self.ledger.format.frame_bytes
            self.timeline.sent(self.reader.position, count)
            self.session_places += range(self.reader.position, self.reader.position + count)
            self.reader.advance(count)

    def silence(self, frames):
        self.timeline.silence(frames)
        self.session_places += [None] * frames
        self.ledger.at.injected_frames += frames

    def final(self, end, shift=0, *, channel=0, is_final=True):
        """A result for what this session heard from the last final to `end`; each word moved by `shift` frames."""
        end = min(end, len(self.session_places))
        words = []
        seen = {}
        for index in range(self.told, end):
            place = self.session_places[index]
            if place is not None and place % 400 >= 100:
                first, count = seen.get(place // 400, (index, 0))
                seen[place // 400] = (first, count + 1)
        for number, (first, count) in seen.items():
            if count >= 200:  # more than half of the word was there
                words.append(
                    HeardWord(f"w{number}", max(0, first + shift) / RATE, max(0, first + count + shift) / RATE, 0.9)
                )
        results = Results(
            start=self.told / RATE,
            duration=(end - self.told) / RATE,
            channel=Hypotheses((Alternative(" ".join(word.word for word in words), 0.9, tuple(words)),)),
            is_final=is_final,
            channel_index=(channel, 1),
        )
        out = self.hearing.results(results)
        if is_final:
            self.told = end
            self.said += [each for each in out if isinstance(each, Said)]
            self.skipped += [each for each in out if isinstance(each, Skipped)]
            self.delivered += [word.word for each in out if isinstance(each, Said) for word in each.words]
        return out


def test_the_same_word_three_times_is_said_three_times():
    """Each delivered word can be repeated once: "no, no, no" is not one "no"."""
    talk = Talk()
    talk.ledger.write(b"x" * 3000)
    talk.send(3000)

    def say(start, *places):
        words = tuple(HeardWord("no", a / RATE, (a + 200) / RATE, 0.9) for a in places)
        end = max(places) + 200
        results = Results(
            start=start / RATE,
            duration=(end - start) / RATE,
            channel=Hypotheses((Alternative("no", 0.9, words),)),
            is_final=True,
        )
        return [len(each.words) for each in talk.hearing.results(results) if isinstance(each, Said)]

    assert say(0, 1000, 1250) == [2]
    talk.connect()
    talk.send(3000)
    assert talk.reader.position == 3000
    assert say(0, 550 + 30, 800 + 30, 1050 + 30) == [1]  # this session began at 450: two again, one new


def test_a_short_word_pushed_before_the_watermark_is_not_lost():
    """It follows the repetition of the last delivered word, so it is new wherever its middle fell."""
    talk = Talk()
    talk.ledger.write(b"x" * 5000)
    talk.send(2000)
    talk.final(2000)
    last = talk.delivered[-1]
    watermark = talk.state.at.watermarks[0]
    talk.connect()
    talk.send(5000)
    began = talk.session_places[0]
    spoken = talk.state.channels[0].recent[-1]
    words = (
        HeardWord(last, (spoken.start - 90 - began) / RATE, (spoken.end - 90 - began) / RATE, 0.9),
        HeardWord("I", (watermark - 95 - began) / RATE, (watermark - 35 - began) / RATE, 0.9),
    )
    results = Results(start=0, duration=2.0, channel=Hypotheses((Alternative("w I", 0.9, words),)), is_final=True)
    (said,) = talk.hearing.results(results)
    assert [word.word for word in said.words] == ["I"]
    assert said.replayed


def test_a_final_left_wordless_moves_the_watermark_and_keeps_its_speech_final():
    talk = Talk()
    talk.ledger.write(b"x" * 3000)
    talk.send(2000)
    talk.final(2000)
    talk.connect()
    talk.send(1400)  # from 1 s to 2.4 s: only the first word after 2 s is missing
    word = HeardWord("w4", 0.7, 1.0, 0.9)
    results = Results(
        start=0, duration=1.05, channel=Hypotheses((Alternative("w4", 0.9, (word,)),)), is_final=True, speech_final=True
    )
    (said,) = talk.hearing.results(results)
    assert (said.text, said.words, said.speech_final, said.seq) == ("", (), True, 1)
    assert talk.state.at.watermarks[0] == 2050
    assert talk.state.at.duplicate_frames == 1000


def test_a_hole_between_two_finals_is_a_gap():
    talk = Talk()
    talk.ledger.write(b"x" * 6000)
    talk.send(6000)
    talk.final(2000)
    talk.told = 2400
    talk.final(4000)
    assert talk.skipped == []  # 0.4 s is a breath
    talk.told = 4600
    talk.final(6000)
    assert talk.skipped == [Skipped(None, 4000, 4600)]
    at = talk.state.at
    assert (at.acknowledged, at.acknowledged_frames, at.lost_frames) == (6000, 5400, 600)


def test_what_was_lost_stays_lost_though_a_final_comes_for_it():
    talk = Talk()
    talk.ledger.write(b"x" * 4000)
    talk.send(4000)
    talk.ledger.let_go(2000)
    talk.final(4000)
    assert talk.delivered == ["w5", "w6", "w7", "w8", "w9"]
    assert (talk.state.at.lost_frames, talk.state.at.acknowledged_frames) == (2000, 2000)


def test_redaction_hears_the_last_final_again_from_its_start():
    talk = Talk(whole_finals=True)
    talk.ledger.write(b"x" * 9000)
    talk.send(9000)
    talk.final(2000)
    talk.final(8000)
    talk.connect()
    assert talk.reader.position == 2000
    talk.send(9000)
    talk.final(7000)
    assert talk.delivered == [f"w{n}" for n in range(22)]


def test_channels_have_each_their_own_seam():
    """The call is acknowledged as far as its slowest channel, and each channel is cut at its own watermark."""
    stereo = AudioFormat("mulaw", RATE, 2)
    talk = Talk(stereo)
    talk.ledger.write(b"xy" * 4000)
    talk.send(4000)
    talk.final(4000, channel=0)
    talk.told = 0
    talk.final(1600, channel=1)
    assert talk.state.at.watermarks == [4000, 1600]
    assert talk.state.at.acknowledged == 1600
    talk.connect()
    assert talk.reader.position == 600
    talk.send(4000)
    before = len(talk.delivered)
    talk.final(3400, channel=0)
    assert len(talk.delivered) == before
    talk.told = 0
    talk.final(3400, channel=1)
    assert talk.delivered[before:] == [f"w{n}" for n in range(4, 10)]
    assert talk.state.at.acknowledged == 4000
    assert talk.hearing.results(Results(0, 1, Hypotheses(), channel_index=(7, 9))) == []


def test_interims_are_cut_too_and_replaced():
    talk = Talk()
    talk.ledger.write(b"x" * 4000)
    talk.send(2000)
    talk.final(1600)
    (interim,) = talk.final(2000, is_final=False)
    assert (interim.text, interim.segment, interim.seq, interim.is_final) == ("w4", 1, None, False)
    talk.connect()
    talk.send(4000)
    (interim,) = talk.final(1400, is_final=False)
    assert (interim.text, interim.segment, interim.start) == ("w4", 1, 1700)
    told = talk.final(1000, is_final=True)  # ends at 1.6 s: nothing new, but the interim that is out must be replaced
    assert [(each.text, each.segment) for each in told] == [("", 1)]


def test_a_server_without_words_is_cut_by_whole_finals():
    talk = Talk()
    talk.ledger.write(b"x" * 4000)
    talk.send(4000)
    whole = Results(0, 2.0, Hypotheses((Alternative("all of it"),)), is_final=True)
    assert [each.text for each in talk.hearing.results(whole)] == ["all of it"]
    talk.connect()
    talk.send(4000)
    again = Results(0, 1.0, Hypotheses((Alternative("of it"),)), is_final=True)
    assert talk.hearing.results(again) == []
    more = Results(1.0, 1.5, Hypotheses((Alternative("and more"),)), is_final=True)
    assert [each.text for each in talk.hearing.results(more)] == ["and more"]


def test_utterances_are_told_once_and_ended_when_their_session_dies():
    talk = Talk()
    talk.ledger.write(b"x" * 9000)
    talk.send(3000)
    assert talk.hearing.speech_started(SpeechStarted(0.1)) == 100
    assert talk.hearing.speech_started(SpeechStarted(0.1)) is None
    talk.final(2000)
    ended = talk.hearing.utterance_end(UtteranceEnd(2.0))
    assert (ended.at, ended.synthesized) == (2000, False)
    assert talk.hearing.utterance_end(UtteranceEnd(2.0)) is None
    assert talk.hearing.utterance_end(UtteranceEnd(-1)) is None  # nothing was said since
    talk.final(3000)
    (left,) = talk.hearing.abandoned()
    assert (left.channel, left.at, left.synthesized) == (0, 2800, True)
    assert talk.hearing.abandoned() == []
    talk.connect()
    talk.send(2000)
    assert talk.hearing.speech_started(SpeechStarted(0.5)) is None  # 2.5 s: finalised long ago
    assert talk.hearing.utterance_end(UtteranceEnd(0.8)) is None  # 2.8 s: told
    talk.final(2000)
    assert talk.hearing.utterance_end(UtteranceEnd(-1)).at is None
    assert talk.hearing.utterance_end(UtteranceEnd(1, (3, 4))) is None
    assert talk.hearing.speech_started(SpeechStarted(1, (3, 4))) is None


def test_words_heard_in_our_own_silence_are_nobodys():
    talk = Talk()
    talk.ledger.write(b"x" * 2000)
    talk.send(2000)
    talk.silence(2000)
    words = (HeardWord("noise", 2.5, 2.9, 0.4), HeardWord("blip", 1.0, 1.0, 0.4))
    results = Results(0, 4.0, Hypotheses((Alternative("noise blip", 0.4, words),)), is_final=True)
    (said,) = talk.hearing.results(results)
    assert [word.word for word in said.words] == ["blip"]
    assert said.text == "blip"
    assert talk.state.at.acknowledged == 2000


def final(start, end, *words, channel=0, is_final=True):
    """Words as (text, start, end), all in frames of the session."""
    heard = tuple(HeardWord(text, a / RATE, b / RATE, 0.9) for text, a, b in words)
    text = " ".join(word.word for word in heard)
    hypotheses = Hypotheses((Alternative(text, 0.9, heard),))
    return Results(start / RATE, (end - start) / RATE, hypotheses, is_final, channel_index=(channel, 2))


def texts(told):
    return [word.word for each in told if isinstance(each, Said) for word in each.words]


def test_a_word_after_a_long_pause_is_new_though_it_is_placed_before_the_watermark():
    """The last word delivered is too far back to be repeated, so this cannot be its repetition."""
    talk = Talk()
    talk.ledger.write(b"x" * 9000)
    talk.send(5000)
    assert texts(talk.hearing.results(final(0, 5000, ("early", 1000, 1400)))) == ["early"]  # then a pause to 4.9 s
    talk.connect()
    talk.send(9000)
    assert talk.reader.position == 9000
    told = talk.hearing.results(final(0, 3000, ("late", 800, 1100)))  # this session began at 4 s: 4.8 to 5.1 s

    assert texts(told) == ["late"]


def test_the_first_word_of_a_call_is_new_though_it_is_placed_before_the_watermark():
    talk = Talk()
    talk.ledger.write(b"x" * 9000)
    talk.send(5000)
    talk.hearing.results(final(0, 5000))
    talk.connect()
    talk.send(9000)

    assert texts(talk.hearing.results(final(0, 3000, ("first", 800, 1100)))) == ["first"]


def test_a_word_that_only_a_later_session_hears_in_what_was_final_is_not_told():
    """A final is never taken back, nor is it added to."""
    talk = Talk()
    talk.ledger.write(b"x" * 9000)
    talk.send(5000)
    talk.hearing.results(final(0, 5000))
    talk.connect()
    talk.send(9000)
    told = talk.hearing.results(final(0, 3000, ("cough", 300, 600), ("hello", 1300, 1700)))

    assert texts(told) == ["hello"]


def test_a_channel_that_lags_is_still_placed_by_the_marks_that_the_other_has_passed():
    """Each final lets go of marks; one channel must not let go of another's."""
    talk = Talk(AudioFormat("mulaw", RATE, 2))
    talk.ledger.write(b"xy" * 30_000)
    for _ in range(10):
        talk.send(1000)
        talk.silence(1000)
    ahead, behind = final(0, 20_000, channel=0), final(0, 3000, ("late", 2200, 2600), channel=1)
    talk.hearing.results(ahead)
    talk.timeline.forget(ahead.end)
    (said,) = talk.hearing.results(behind)

    assert [(word.start, word.end) for word in said.words] == [(1200, 1600)]


def test_a_word_across_a_jump_is_no_longer_than_it_was_heard():
    """A server that places a word a little late would have it go on through all that was lost."""
    talk = Talk()
    talk.ledger.write(b"x" * 90_000)
    talk.send(5000)
    talk.ledger.let_go(60_000)
    talk.send(5000)
    told = talk.hearing.results(final(0, 8000, ("before", 4600, 5050), ("after", 4980, 5400)))

    assert [(word.word, word.start, word.end) for each in told for word in each.words] == [("after", 59_979, 60_400)]


def test_a_word_that_was_being_said_again_when_its_audio_was_lost_is_not_told_twice():
    """The server heard half of it before the jump, and places it after."""
    talk = Talk()
    talk.ledger.write(b"x" * 90_000)
    talk.send(5000)
    talk.hearing.results(final(0, 5000, ("once", 4700, 4800)))
    talk.connect()
    talk.send(760)  # from 4 s to 4.76 s
    talk.ledger.let_go(60_000)
    talk.send(5000)
    told = talk.hearing.results(final(0, 5000, ("once", 810, 870), ("more", 1000, 1400)))

    assert texts(told) == ["more"]


def test_an_interim_without_words_is_told_only_to_replace_one_that_had_some():
    talk = Talk()
    talk.ledger.write(b"x" * 9000)
    talk.send(9000)

    assert talk.hearing.results(final(0, 1000, is_final=False)) == []
    (some,) = talk.hearing.results(final(0, 2000, ("well", 1000, 1400), is_final=False))
    (none,) = talk.hearing.results(final(0, 3000, is_final=False))
    assert (some.text, none.text, some.segment == none.segment) == ("well", "", True)


def test_an_utterance_that_only_began_is_ended_when_its_session_dies():
    """SpeechStarted and an interim, and then nothing: whoever waits for its end is told, though no word is known."""
    talk = Talk()
    talk.ledger.write(b"x" * 9000)
    talk.send(9000)
    assert talk.hearing.speech_started(SpeechStarted(timestamp=3.0)) == 3000

    (left,) = talk.hearing.abandoned()

    assert (left.at, left.synthesized) == (None, True)
    assert talk.hearing.abandoned() == []


def test_a_word_that_ends_before_it_begins_is_none():
    """Nothing from the wire is trusted: it would lie anywhere."""
    talk = Talk()
    talk.ledger.write(b"x" * 9000)
    talk.send(9000)
    told = talk.hearing.results(final(0, 8000, ("mad", 900_000, 500), ("sane", 1000, 1400)))

    assert texts(told) == ["sane"]
    assert talk.state.channels[0].word_end == 1400


def test_words_out_of_order_leave_a_transcript_that_begins_before_it_ends():
    talk = Talk()
    talk.ledger.write(b"x" * 9000)
    talk.send(9000)
    talk.hearing.results(final(0, 1000, ("once", 200, 500)))
    talk.connect()
    talk.send(9000)
    (said,) = talk.hearing.results(final(0, 8000, ("once", 200, 500), ("late", 6000, 6400), ("early", 2000, 2400)))

    assert (said.start, said.end) == (2000, 6400)


def test_no_word_is_told_of_what_the_server_had_passed_over():
    """It was told as a gap, and stays one, whatever another session makes of it."""
    talk = Talk()
    talk.ledger.write(b"x" * 20_000)
    talk.send(9000)
    talk.hearing.results(final(0, 3000, ("first", 2000, 2400)))
    told = talk.hearing.results(final(3600, 3650))
    assert [each for each in told if isinstance(each, Skipped)] == [Skipped(None, 3000, 3600)]
    talk.connect()
    talk.send(9000)
    base = talk.state.at.acknowledged - MARGIN
    told = talk.hearing.results(final(0, 5000, ("lost", 3400 - base, 3580 - base), ("found", 3700 - base, 3900 - base)))

    assert texts(told) == ["found"]
