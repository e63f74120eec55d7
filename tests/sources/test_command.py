"""Children: how each of their ends is told, and that none of them is left."""

from __future__ import annotations

import os
import shlex

import pytest
import trio

from supervisor.core.problem import Exit, Problem
from supervisor.core.unwrap import Declared
from supervisor.sources import CommandSource, command
from tests.sources.feeding import (
    DEADLINE,
    NOISE,
    PCM,
    Heard,
    heard,
    next_of,
    nothing_left,
    processes,
    refusal,
    rest_of,
    wav,
)

MULAW = Declared("mulaw", 8000)
MARK = f"98765.{os.getpid()}"  # what a child sleeps for is how it is found again


@pytest.fixture
def hasty(monkeypatch) -> None:
    """Where the grace of two seconds is bound to pass, less of it."""
    monkeypatch.setattr(command, "GRACE", 0.1)


def shell(script: str, declared: Declared = MULAW, *, live: bool = True) -> CommandSource:
    return CommandSource(f"sh -c {shlex.quote(script)}", declared, live)


def test_a_child_that_exits_with_0_has_said_it_all(tmp_path):
    (tmp_path / "call.wav").write_bytes(wav(NOISE))
    for live in (True, False):
        with nothing_left():
            found = heard(CommandSource(f"cat {tmp_path}/call.wav", live=live))

        assert (found.format, found.audio, found.problem, found.warnings) == (PCM, NOISE, None, [])


@pytest.mark.parametrize("live", [True, False])
def test_a_child_that_fails_is_told_of_after_its_audio_with_its_own_words(live):
    script = "printf audio; echo one >&2; echo two >&2; printf '\\033[2Jno route' >&2; exit 3"
    with nothing_left():
        found = heard(shell(script, live=live))

    assert found.audio == b"audio"
    assert found.problem is not None
    assert str(found.problem) == "command:sh ended with status 3: one / two / [2Jno route"
    assert found.problem.exit_code is Exit.NO_INPUT


def test_a_child_that_fails_before_its_format_is_known_cannot_be_opened():
    with nothing_left():
        refused = refusal(shell("echo no such device >&2; exit 1", Declared()))

    assert str(refused) == "command:sh ended with status 1: no such device"
    assert refused.exit_code is Exit.NO_INPUT


@pytest.mark.parametrize("number, name", [("KILL", "SIGKILL"), ("TERM", "SIGTERM"), ("35", "signal 35")])
def test_a_child_that_is_killed_is_told_of_by_its_signal(number, name):
    with nothing_left():
        found = heard(shell(f"printf audio; kill -{number} $$"))

    assert found.audio == b"audio"
    assert str(found.problem) == f"command:sh was killed by {name}: run it by hand to see why"


def test_what_a_grandchild_writes_after_its_parent_has_gone_is_audio():
    with nothing_left(MARK):
        found = heard(shell("(sleep 0.05; printf grandchild) & printf 'child '"))

    assert (found.audio, found.problem) == (b"child grandchild", None)


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.usefixtures("hasty")
def test_a_grandchild_that_keeps_the_pipe_and_says_nothing_is_not_waited_for(live):
    with nothing_left(MARK):
        found = heard(shell(f"sleep {MARK} & printf audio", live=live))

    assert (found.audio, found.problem) == (b"audio", None)


@pytest.mark.usefixtures("hasty")
def test_a_child_that_closes_its_pipe_and_lives_on_is_ended():
    with nothing_left(MARK):
        found = heard(shell(f"printf audio; exec >&-; sleep {MARK}"))

    assert (found.audio, found.problem) == (b"audio", None)


def test_a_child_that_closes_its_pipe_and_then_fails_has_failed():
    with nothing_left():
        found = heard(shell("printf audio; exec >&-; sleep 0.05; exit 5"))

    assert found.audio == b"audio"
    assert "ended with status 5" in str(found.problem)


def test_a_child_is_told_to_end_when_the_source_is_left(tmp_path):
    async def main() -> None:
        with trio.fail_after(DEADLINE):
            script = f"trap 'echo goodbye > {tmp_path}/told; exit' TERM; printf audio; sleep {MARK} & wait"
            async with shell(script).open() as feed:
                assert await next_of(feed) == b"audio"
                assert not (tmp_path / "told").exists()

    with nothing_left(MARK):
        trio.run(main)
    assert (tmp_path / "told").read_text() == "goodbye\n"


@pytest.mark.usefixtures("hasty")
def test_a_child_that_ignores_being_told_is_killed_with_all_its_own():
    async def main() -> None:
        with trio.fail_after(DEADLINE):
            async with shell(f"trap '' TERM; printf audio; sleep {MARK}; sleep {MARK}").open() as feed:
                assert await next_of(feed) == b"audio"

    with nothing_left(MARK):
        trio.run(main)


def test_a_child_that_writes_without_end_ends_with_the_source():
    async def main() -> None:
        with trio.fail_after(DEADLINE):
            async with CommandSource("cat /dev/zero", MULAW, live=False).open() as feed:
                assert await next_of(feed) == bytes(800)

    with nothing_left():
        trio.run(main)


def test_an_error_of_the_body_passes_as_it_is():
    async def main() -> None:
        async with shell("printf audio; sleep 60").open():
            raise LookupError("ours")

    with nothing_left(), pytest.raises(LookupError, match="ours"):
        trio.run(main)


def test_a_child_reads_nothing_and_is_in_a_session_of_its_own():
    """It must not eat the terminal's keys, nor hear its Ctrl-C before the call has ended."""
    with nothing_left():
        found = heard(shell("cat; ps -o sid= -p $$ || cut -d' ' -f6 /proc/$$/stat"))

    assert int(found.audio) not in (os.getsid(0), 0)


def test_a_child_that_says_much_is_not_held_up():
    found = heard(shell("head -c 3000000 /dev/zero | tr '\\0' x >&2; printf audio; exit 1"))

    assert found.audio == b"audio"
    assert len(str(found.problem)) < 400


@pytest.mark.parametrize(
    "said, shown",
    [
        ("rtsp://me:secret@host/a: no route", "rtsp://***@host/a: no route"),
        ("rtsp://me:se@cret@host/a: no route", "rtsp://***@host/a: no route"),
        ("http://host/a?x=secret&token=secret: 403", "http://host/a?x=***&token=***: 403"),
        ("Authorization: Bearer secret", "Authorization: ***"),
        ("sent authorization: Basic secret=, refused", "sent authorization: ***"),
        ("token=secret password: secret", "token=*** password: ***"),
        ("--api-key secret is wrong", "--api-key *** is wrong"),
        ("pulse: token ring not found", "pulse: token ring not found"),
        ("no key", "no key"),
    ],
)
def test_secrets_in_a_childs_words_are_hidden(said, shown):
    found = heard(shell(f"printf audio; echo {shlex.quote(said)} >&2; exit 1"))

    assert found.problem is not None
    assert found.problem.hint == shown


def test_a_secret_that_is_cut_where_a_childs_words_begin_is_not_shown():
    """Only the end of what it said is kept, and that end may begin inside an address."""
    address = "rtsp://me:" + "secret" * 400 + "@host/a"

    found = heard(shell(f"echo {address} no route >&2; printf audio; exit 1"))

    assert found.problem is not None
    assert found.problem.hint == "no route"


def test_arguments_are_not_in_the_label_because_they_may_be_secret():
    assert CommandSource("/usr/bin/ffmpeg -i rtsp://me:secret@host/a -").label == "command:ffmpeg"


@pytest.mark.parametrize(
    "line, words, code",
    [
        (
            "no-such-program-here -x",
            "cannot run no-such-program-here: install it, or give its full path",
            Exit.NO_INPUT,
        ),
        ("/", "cannot run / (Permission denied): try it by hand", Exit.NO_INPUT),
        ("", "the source names no command", Exit.USAGE),
        ("  ", "the source names no command", Exit.USAGE),
        ("''", "the source names no command", Exit.USAGE),
        ("sh -c 'oops", 'cannot read the command "sh -c \'oops": no closing quotation', Exit.USAGE),
        ("cat a\0b", "cannot read the command", Exit.USAGE),
    ],
)
def test_what_cannot_be_run_is_one_line(line, words, code):
    with nothing_left():
        refused = refusal(CommandSource(line, MULAW))

    assert words in str(refused)
    assert refused.exit_code is code


def test_text_from_a_child_is_not_audio():
    with nothing_left():
        refused = refusal(shell("echo usage: this-and-that, and more of it; sleep 60", Declared()))

    assert "the output of command:sh is text, not audio: it begins with 'usage: this-and-that" in str(refused)
    assert refused.exit_code is Exit.BAD_AUDIO


def test_a_child_that_has_nothing_to_say_is_empty():
    found: Heard = heard(shell("true"))

    assert isinstance(found.problem, Problem)
    assert str(found.problem) == "the output of command:sh is empty"


def test_what_a_live_child_says_while_nobody_takes_is_kept():
    """More than a pipe holds, and the child is never made to wait for it."""

    async def main() -> None:
        with trio.fail_after(DEADLINE):
            declared = Declared("linear32", 48_000, 2)
            async with shell(f"head -c 300000 /dev/zero; exec >&-; exec sleep {MARK}", declared).open() as feed:
                while not processes(MARK):  # noqa: ASYNC110 - it has written all, and nobody has taken
                    await trio.sleep(0.01)
                length = 0
                while length < 300_000:
                    length += len(await next_of(feed))

        assert length == 300_000

    with nothing_left(MARK):
        trio.run(main)


def test_a_source_that_is_left_does_not_take_what_another_one_runs():
    """Two children at once, and the end of one is not the end of the other."""

    async def main() -> None:
        with trio.fail_after(DEADLINE):
            async with shell("read x; cat", MULAW).open():
                pass
            async with shell(f"printf one; sleep {MARK}").open() as first:
                assert await next_of(first) == b"one"
                async with shell("printf two").open() as second:
                    assert (await rest_of(second)).audio == b"two"
                await trio.sleep(0.01)
                assert first.take() is None
                assert processes(MARK)

    with nothing_left(MARK):
        trio.run(main)
