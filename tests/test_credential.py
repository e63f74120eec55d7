"""Where the key is: read at each attempt, sent as it has to be, and never in any message."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.problem import Exit, Problem
from supervisor.credential import LONGEST, Credential, credential_from, without_keys

KEY = "0123456789abcdef0123456789abcdef01234567"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"


def credential(place: str, environ: Mapping[str, str] | None = None, **more: Any) -> Credential:
    found = credential_from(place, {"PATH": os.environ["PATH"], **(environ or {})}, **more)
    assert found is not None
    return found


def header(place: str, environ: Mapping[str, str] | None = None) -> str:
    async def main() -> str:
        with trio.fail_after(20):
            return await credential(place, environ).authorization()

    return trio.run(main)


def refused(place: str, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(Problem) as problem:
        header(place, environ)
    assert problem.value.exit_code is Exit.CONFIG
    assert problem.value.hint
    assert str(problem.value).isprintable()
    return str(problem.value)


class TestPlaces:
    def test_without_one_there_is_the_usual_variable(self) -> None:
        assert credential_from(None, {}) is None
        assert credential_from(None, {"DEEPGRAM_API_KEY": " \n"}) is None
        found = credential_from(None, {"DEEPGRAM_API_KEY": KEY})
        assert found is not None
        assert found.describe() == "env:DEEPGRAM_API_KEY"

    @pytest.mark.parametrize(
        "place, hint",
        [
            (KEY, "write env:NAME, file:PATH"),
            (JWT, "write env:NAME"),
            ("", "write env:NAME"),
            ("/etc/key", "write env:NAME"),
            (f"key:{KEY}", "write env:NAME"),
            (f"fiel:{KEY}", "did you mean file:...?"),
            ("env:", "write env:NAME"),
            ("file:  ", "write env:NAME"),
            ("file:a\0b", "write env:NAME"),
            ("env:$X", "export the key as DEEPGRAM_API_KEY"),
            (f"env:{KEY}", "export the key as DEEPGRAM_API_KEY"),
            ("credential:../key", "write file:PATH for a path"),
            ("credential:..", "write file:PATH for a path"),
        ],
    )
    def test_any_other_form_is_refused_with_the_fix(self, place: str, hint: str) -> None:
        with pytest.raises(Problem) as problem:
            credential_from(place, {}, exit_code=Exit.USAGE)

        assert hint in str(problem.value)
        assert KEY not in str(problem.value)
        assert problem.value.exit_code is Exit.USAGE


class TestValues:
    """What stands there, whatever kind of place it is."""

    @pytest.mark.parametrize(
        "value, expected",
        [
            (KEY, f"Token {KEY}"),
            (f"{KEY}\n", f"Token {KEY}"),
            (f"{KEY}\r\n", f"Token {KEY}"),
            (f"  {KEY}\t\n\n", f"Token {KEY}"),
            (JWT, f"Bearer {JWT}"),
            (f"{JWT}\n", f"Bearer {JWT}"),
            ("eyJ.not", "Token eyJ.not"),
        ],
    )
    def test_a_key_is_sent_as_it_has_to_be(self, tmp_path: Path, value: str, expected: str) -> None:
        (tmp_path / "key").write_bytes(value.encode())

        assert header("env:X", {"X": value}) == expected
        assert header(f"file:{tmp_path}/key") == expected
        assert header("credential:key", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == expected
        assert header(f"command:cat {tmp_path}/key") == expected

    @pytest.mark.parametrize(
        "value, reason",
        [
            (b"", "is empty"),
            (b" \n", "is empty"),
            (b'"%s"' % KEY.encode(), "leave out the quotes"),
            (b"'%s'" % KEY.encode(), "leave out the quotes"),
            (b"Token %s" % KEY.encode(), "leave out the quotes, and the words Token and Bearer"),
            (b"bearer %s" % JWT.encode(), "leave out the quotes, and the words Token and Bearer"),
            (b"%s\n%s" % (KEY.encode(), KEY.encode()), "put the key alone there"),
            (b"%s\r\nX-Evil: 1" % KEY.encode(), "put the key alone there"),
            (b"DEEPGRAM_API_KEY = %s" % KEY.encode(), "put the key alone there"),
            (b"%s\x00" % KEY.encode(), "put the key alone there"),
            (b"\xef\xbb\xbf%s" % KEY.encode(), "save it as plain ASCII"),
            (b"\xff\xfe" + KEY.encode("utf-16-le"), "save it as plain ASCII"),
            (b"\x7fELF\x02\x01\x01\x00", "put the key alone there"),
            (KEY.encode() * 1000, "is too long to be a key"),
            (b"x" * (1 << 20), "is too long to be a key"),
        ],
        ids=lambda value: repr(value)[:24],
    )
    def test_what_is_no_key_is_said_without_showing_it(self, tmp_path: Path, value: bytes, reason: str) -> None:
        (tmp_path / "key").write_bytes(value)
        for place in (f"file:{tmp_path}/key", f"command:cat {tmp_path}/key"):
            found = refused(place)

            assert reason in found
            assert KEY not in found
            assert JWT not in found

    def test_a_variable_that_is_no_key_is_said_without_showing_it(self) -> None:
        assert "the variable X has more in it" in refused("env:X", {"X": f"Token {KEY}"})
        assert "the variable X is empty" in refused("env:X", {"X": ""})
        assert "the variable X is not set" in refused("env:X")
        assert KEY not in refused("env:X", {"X": f"{KEY}\udcff{KEY}"})

    @given(st.text(min_size=1, max_size=60))
    def test_whatever_it_is_no_header_is_ever_split(self, value: str) -> None:
        try:
            found = header("env:X", {"X": value})
        except Problem:
            return
        assert re.fullmatch("(Token|Bearer) [!-~]+", found)


class TestFiles:
    def test_it_is_read_again_at_each_attempt(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        one = credential(f"file:{path}")

        async def main() -> list[str]:
            found = []
            for key in ("first-key", "second-key"):
                path.write_text(key)
                found.append(await one.authorization())
            return found

        assert trio.run(main) == ["Token first-key", "Token second-key"]

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
    def test_what_could_block_or_never_end_is_not_read(self, tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
        make(tmp_path / "key")

        assert re.search("is not a regular file: to read from a program|directory", refused(f"file:{tmp_path}/key"))

    def test_one_that_is_missing(self, tmp_path: Path) -> None:
        assert "No such file or directory: check the path" in refused(f"file:{tmp_path}/none")
        assert "name too long" in refused(f"file:{tmp_path}/{'x.' * 200}")

    def test_a_key_in_place_of_the_path_is_not_shown(self) -> None:
        assert KEY not in refused(f"file:{KEY}")
        assert KEY not in refused(f"file:/etc/{KEY}")
        assert KEY not in credential(f"file:{KEY}").describe()

    def test_a_tilde_is_home(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(KEY)

        assert header("file:~/key", {"HOME": str(tmp_path)}) == f"Token {KEY}"

    @pytest.mark.parametrize("mode, warns", [(0o600, False), (0o640, False), (0o644, True), (0o602, True)])
    def test_one_that_everybody_can_open_is_a_warning(self, tmp_path: Path, mode: int, warns: bool) -> None:
        path = tmp_path / "key"
        path.write_text(KEY)
        path.chmod(mode)

        assert ["chmod 600 it" in warning for warning in credential(f"file:{path}").check()] == [True] * warns

    def test_a_systemd_credential_needs_its_directory(self, tmp_path: Path) -> None:
        assert "add LoadCredential=key:/path/to/the/key to the unit" in refused("credential:key")
        assert "No such file" in refused("credential:key", {"CREDENTIALS_DIRECTORY": str(tmp_path)})


class TestCommands:
    def test_it_runs_again_at_each_attempt(self, tmp_path: Path) -> None:
        one = credential(f"command:echo x >> {tmp_path}/runs; wc -l < {tmp_path}/runs")

        async def main() -> list[str]:
            return [await one.authorization() for _ in range(2)]

        assert trio.run(main) == ["Token 1", "Token 2"]

    def test_it_is_not_run_to_be_checked(self, tmp_path: Path) -> None:
        assert credential(f"command:touch {tmp_path}/ran").check() == ()
        assert not (tmp_path / "ran").exists()

    def test_it_has_our_environment_and_no_input(self) -> None:
        assert header("command:cat; echo $WORD", {"WORD": "from-here"}) == "Token from-here"

    @pytest.mark.parametrize(
        "command, reason",
        [
            ("exit 3", "failed (exit status 3): run it by hand"),
            ("echo one >&2; echo why >&2; exit 1", "failed (exit status 1): why"),
            ("kill -9 $$", "failed (signal 9)"),
            ("no-such-program-here", "failed (exit status 127)"),
            ("true", "the output of the key's command is empty"),
            (f"echo {KEY}; exit 1", "failed (exit status 1)"),
            (f"echo 'refused: {KEY}' >&2; exit 1", "failed (exit status 1): refused: ***"),
            (f"echo 'refused: {JWT}' >&2; exit 1", "failed (exit status 1): refused: ***"),
            ("printf '\\033[2Jx\\007' >&2; exit 1", "failed (exit status 1): [2Jx"),
            ("head -c 1000000 /dev/zero >&2; exit 1", "failed (exit status 1)"),
        ],
    )
    def test_one_that_fails_says_why_and_shows_no_key(self, command: str, reason: str) -> None:
        found = refused(f"command:{command}")

        assert reason in found
        assert KEY not in found
        assert JWT not in found

    def test_one_that_never_stops_writing_is_ended(self) -> None:
        assert "too long to be a key" in refused("command:yes")
        assert "too long to be a key" in refused("command:yes & yes")

    def test_complaints_without_end_do_not_keep_it_from_its_end(self) -> None:
        assert header(f"command:head -c 1000000 /dev/zero >&2; echo {KEY}") == f"Token {KEY}"

    @pytest.mark.parametrize("keeps", ["", "2>&1", ">/dev/null", "2>/dev/null"])
    def test_what_it_leaves_behind_is_not_waited_for(self, tmp_path: Path, keeps: str) -> None:
        """An agent that it has started, say, which has its standard output and keeps it open."""
        place = f"command:sleep 30 {keeps} & echo $! > {tmp_path}/pid; echo {KEY}"
        try:
            before = time.monotonic()
            assert header(place) == f"Token {KEY}"
            assert time.monotonic() - before < 8  # not its deadline, which is 10
        finally:
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    @pytest.mark.parametrize("cancelled", [True, False])
    def test_one_that_takes_too_long_is_killed_with_its_children(self, tmp_path: Path, cancelled: bool) -> None:
        script = f"sleep 30 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; wait"
        one = Credential("command", script, {"PATH": os.environ["PATH"]}, deadline=30 if cancelled else 0.5)

        async def main() -> None:
            with trio.fail_after(10):
                if cancelled:
                    with trio.move_on_after(0.5):
                        await one.authorization()
                else:
                    with pytest.raises(Problem, match=r"took more than 0\.5 s"):
                        await one.authorization()
                for name in ("child", "self"):
                    while _lives(tmp_path / name):  # noqa: ASYNC110 - another process rings no bell
                        await trio.sleep(0.01)

        trio.run(main)


def _lives(pid_file: Path) -> bool:
    """Whether the process still runs; one that was killed before it could say its number does not."""
    try:
        return Path(f"/proc/{int(pid_file.read_text())}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class TestSecrecy:
    def test_each_key_that_is_read_is_learned(self, tmp_path: Path) -> None:
        learned: list[str] = []
        path = tmp_path / "key"
        path.write_text("first-key\n")
        one = credential(f"file:{path}", learn=learned.append)
        one.check()
        path.write_text("second-key\n")
        trio.run(one.authorization)

        assert learned == ["first-key", "second-key"]

    def test_no_text_of_it_shows_the_key(self) -> None:
        one = credential("env:X", {"X": KEY})
        trio.run(one.authorization)

        assert KEY not in f"{one!r} {one} {one.describe()}"

    def test_a_command_with_a_key_in_it_is_described_without(self) -> None:
        assert credential(f"command:echo {KEY}").describe() == "command:echo ***"

    @pytest.mark.parametrize(
        "text, expected",
        [
            (f"a {KEY} b", "a *** b"),
            (f'"{JWT}"', '"***"'),
            ("--option=value a.wav /path/to/a-file.wav", "--option=value a.wav /path/to/a-file.wav"),
            ("3f8a7c1e-0b1d-4c3a-9a51-2f6f0c8a9b1c", "3f8a7c1e-0b1d-4c3a-9a51-2f6f0c8a9b1c"),
            ("", ""),
        ],
    )
    def test_what_could_be_a_key_is_hidden(self, text: str, expected: str) -> None:
        assert without_keys(text) == expected


def test_the_longest_key_is_taken(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * LONGEST)

    assert header(f"file:{tmp_path}/key") == "Token " + "k" * LONGEST
    assert header(f"command:cat {tmp_path}/key") == "Token " + "k" * LONGEST
