"""One closure after another, judged as a call would: with what came before it, and what is left to say."""

from __future__ import annotations

import pytest

from supervisor.core.closure import Closure, Verdict
from supervisor.core.dialect import LISTEN_V1
from supervisor.core.judge import Judge, Judgement
from supervisor.core.problem import Exit

COMPLETE, RETRY, ABORT = Verdict.COMPLETE, Verdict.RETRY, Verdict.ABORT

CLEAN = Closure(code=1000, opened=True, finishing=True, metadata=True, server_heard=9.0, sent=9.0)
DROPPED = Closure(code=1006, opened=True)
MOVED_ON = Closure(code=1011, reason="NET-0000", opened=True, progress=True)
UNDECODABLE = Closure(code=1008, reason="DATA-0000", opened=True)
DENIED = Closure(status=401)
BUSY = Closure(status=503)


def judged(*closures: Closure, ended: bool = False, tail: float = 5.0, **overrides: str) -> list[Judgement]:
    judge = Judge(LISTEN_V1, {key.strip("_").replace("_", "-"): verdict for key, verdict in overrides.items()})
    return [judge.judge(closure, ended=ended, tail=tail) for closure in closures]


def verdicts(*closures: Closure, **how: object) -> list[Verdict]:
    return [judgement.verdict for judgement in judged(*closures, **how)]  # type: ignore[arg-type]


@pytest.mark.parametrize("closure", [DROPPED, CLEAN, UNDECODABLE, DENIED, BUSY, Closure(reason="dial timed out")])
@pytest.mark.parametrize(
    "ended, tail, complete", [(True, 0.0, True), (True, 0.1, True), (True, 0.101, False), (False, 0.0, False)]
)
def test_a_call_with_nothing_left_to_say_is_complete_whatever_the_closure(closure, ended, tail, complete):
    (judgement,) = judged(closure, ended=ended, tail=tail)

    answered = closure is CLEAN
    assert (complete or answered) == (judgement.verdict is COMPLETE)
    if complete:
        assert (judgement.answered, judgement.skipped) == (False, False)  # nothing is acknowledged by decree


@pytest.mark.parametrize(
    "closure, tail, verdict",
    [
        (CLEAN, 0.5, COMPLETE),
        (CLEAN, 0.51, RETRY),
        (Closure(code=1000, opened=True, finishing=True), 0.3, RETRY),  # no Metadata: it has not said all
        (Closure(code=1000, opened=True, metadata=True, server_heard=9.0), 0.3, RETRY),  # not asked for
        (Closure(code=1005, opened=True, finishing=True, metadata=True, server_heard=9.0), 0.3, RETRY),
        (Closure(code=1006, opened=True, finishing=True, metadata=True, server_heard=9.0), 0.3, RETRY),
        (Closure(code=1011, opened=True, finishing=True, reason="NET-0000"), 0.3, RETRY),
        (Closure(opened=True, finishing=True, reason="no end within 10 s of CloseStream"), 0.3, RETRY),
    ],
)
def test_only_the_whole_answer_to_closestream_acknowledges_a_tail(closure, tail, verdict):
    (judgement,) = judged(closure, ended=True, tail=tail)

    assert verdict is judgement.verdict
    assert (verdict is COMPLETE) == judgement.answered


def test_a_server_that_leaves_the_same_tail_out_three_times_will_not_say_it():
    """The rest is sent again twice, and then given up as skipped rather than for ever."""
    first, second, third = judged(CLEAN, CLEAN, CLEAN, ended=True, tail=2.0)

    assert [each.verdict for each in (first, second, third)] == [RETRY, RETRY, COMPLETE]
    assert "2.00 s" in first.advice
    assert (third.answered, third.skipped) == (False, True)


def test_progress_between_clean_ends_gives_the_tail_new_chances():
    moved = Closure(code=1000, opened=True, finishing=True, metadata=True, server_heard=9.0, sent=9.0, progress=True)

    assert verdicts(CLEAN, CLEAN, moved, CLEAN, CLEAN, ended=True, tail=2.0) == [RETRY, RETRY, RETRY, RETRY, COMPLETE]


@pytest.mark.parametrize(
    "closures, expected",
    [
        ([UNDECODABLE], [ABORT]),  # never anything but undecodable
        ([DROPPED, UNDECODABLE], [RETRY, ABORT]),
        ([MOVED_ON, UNDECODABLE, UNDECODABLE, UNDECODABLE], [RETRY, RETRY, RETRY, ABORT]),
        ([MOVED_ON, UNDECODABLE, DROPPED, UNDECODABLE, BUSY, UNDECODABLE], [RETRY, RETRY, RETRY, RETRY, RETRY, ABORT]),
        ([MOVED_ON, UNDECODABLE, UNDECODABLE, MOVED_ON, UNDECODABLE], [RETRY] * 5),
        ([Closure(code=1008, reason="DATA-0000", opened=True, progress=True)], [RETRY]),
    ],
)
def test_audio_that_was_understood_before_is_tried_twice_more(closures, expected):
    assert expected == verdicts(*closures)


@pytest.mark.parametrize("heard, sent, aborts", [(0.0, 1.0, True), (-1.0, 20.0, True), (0.0, 0.99, False), (0.4, 20.0, False)])
@pytest.mark.parametrize("code, reason", [(1000, ""), (1006, ""), (1008, "DATA-0000"), (1011, "internal error")])
def test_a_server_that_has_heard_none_of_a_second_could_not_decode_it(code, reason, heard, sent, aborts):
    """Whatever the code, and though it answers CloseStream: nothing is acknowledged by such an end."""
    closure = Closure(code, reason, opened=True, finishing=True, metadata=True, server_heard=heard, sent=sent)

    (judgement,) = judged(closure, ended=True, tail=0.4)

    named = "DATA-0000" in reason
    assert (aborts or named) == (judgement.verdict is ABORT)
    if aborts:
        assert Exit.BAD_AUDIO is judgement.exit_code
        assert "DATA-0000" in judgement.closure.reason
        assert reason in judgement.closure.reason
        assert not judgement.answered


@pytest.mark.parametrize(
    "closures, expected",
    [
        ([DENIED, DENIED], [RETRY, ABORT]),
        ([DENIED, BUSY, DENIED], [RETRY, RETRY, ABORT]),
        ([DENIED, DROPPED, DENIED, DENIED], [RETRY, RETRY, RETRY, ABORT]),  # it was accepted in between
        ([Closure(status=403)], [ABORT]),
    ],
)
def test_a_key_that_is_refused_is_read_again_once(closures, expected):
    assert expected == verdicts(*closures)


def test_a_call_that_is_refused_says_how_the_process_ends():
    judgement = judged(DENIED, DENIED)[-1]

    assert Exit.DENIED is judgement.exit_code
    assert judgement.advice.startswith("401")


@pytest.mark.parametrize(
    "overrides, closures, expected",
    [
        ({"_401": "abort"}, [DENIED], [ABORT]),
        ({"_401": "retry"}, [DENIED] * 3, [RETRY] * 3),
        ({"DATA_0000": "abort"}, [MOVED_ON, UNDECODABLE], [RETRY, ABORT]),
        ({"DATA_0000": "retry"}, [UNDECODABLE] * 9, [RETRY] * 9),
        ({"_503": "abort"}, [BUSY], [ABORT]),
        ({"_1006": "abort"}, [DROPPED, UNDECODABLE], [ABORT, ABORT]),
    ],
)
def test_a_config_has_the_last_word(overrides, closures, expected):
    assert expected == verdicts(*closures, **overrides)
