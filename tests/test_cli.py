"""The command line as other programs rely on it: exit codes, one line for what is wrong, and never a traceback for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from supervisor import __version__, cli, credential, logs
from supervisor.cli import parser, run
from supervisor.core.problem import Exit, Problem

ROOT = Path(__file__).parents[1]
KEY = "0123456789abcdef0123456789abcdef01234567"
COMMANDS = ["transcribe", "run", "check", "calls", "drain", "reload", "health", "explain", "emulate", "demo"]
GOOD = """
version = 1
[deepgram]
url = "ws://127.0.0.1:9"
[[call]]
name = "liñe-1"
source = "one.wav"
[[sink]]
kind = "files"
directory = "transcripts"
"""


@pytest.fixture
def good(tmp_path: Path) -> str:
    (tmp_path / "one.wav").write_bytes(b"")
    (tmp_path / "good.toml").write_text(GOOD.replace("one.wav", f"{tmp_path}/one.wav"))
    return str(tmp_path / "good.toml")


@pytest.fixture
def bad(tmp_path: Path) -> str:
    (tmp_path / "bad.toml").write_text(GOOD.replace("name", "nmae") + "[limits]\nmax_calls = 0\n")
    return str(tmp_path / "bad.toml")


def command(*args: str, environ: Mapping[str, str] | None = None, **more) -> subprocess.CompletedProcess[bytes]:  # type: ignore[no-untyped-def]
    """The real command, as a process of its own."""
    more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT, **more}
    if "input" in more:
        del more["stdin"]
    # Deepgram's own variables would be this machine's, and no part of the test.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DEEPGRAM")}
    return subprocess.run(
        [sys.executable, "-m", "supervisor", *args], env=kept | (dict(environ) if environ else {}), timeout=60, check=False, **more
    )  # fmt: skip


def through_shell(line: str, config: str = "", environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """A line for bash, in which $S is the command and $C the config."""
    return subprocess.run(
        ["bash", "-c", line], timeout=60, check=False, cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "S": f"{sys.executable} -m supervisor", "C": config, **(environ or {})},
    )  # fmt: skip


def in_process(*args: str, environ: Mapping[str, str] | None = None) -> int:
    return run(args, environ or {})


class TestHelp:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_has_some(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert in_process(name, "--help") == 0
        shown = capsys.readouterr()
        assert shown.out.startswith(f"usage: stream-supervisor {name}")
        assert shown.err == ""

    def test_and_so_has_the_whole(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert in_process("--help") == 0
        out = capsys.readouterr().out
        assert all(f"\n    {name}" in out for name in COMMANDS)

    def test_the_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert in_process("--version") == 0
        assert capsys.readouterr().out == f"stream-supervisor {__version__}\n"

    def test_as_a_process(self) -> None:
        done = command("--help")

        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.startswith(b"usage: stream-supervisor")


class TestWrongUsage:
    @pytest.mark.parametrize(
        "args",
        [
            [],
            ["no-such"],
            ["transcribe"],
            ["transcribe", "a.wav", "--no-such"],
            ["transcribe", "a.wav", "--ur", "wss://x"],  # an abbreviation would be a promise
            ["transcribe", "a.wav", "--sample-rate", "fast"],
            ["transcribe", "a.wav", "--pace", "slow"],
            ["transcribe", "a.wav", "--format", "xml"],
            ["transcribe", "a.wav", "--log-level", "loud"],
            ["run"],
            ["run", "a.toml", "b.toml"],
            ["check"],
            ["check", "a.toml", "--fix"],
            ["explain", "--no-such"],
            ["emulate", "--engine", "none"],
            ["demo", "more"],
        ],
    )
    def test_is_one_line_and_64(self, args: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert in_process(*args) == 64
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("stream-supervisor: ")
        assert shown.err.count("\n") == 1
        assert "--help" in shown.err

    @pytest.mark.parametrize("flag", ["--api_key", "--key", "--token"])
    def test_a_key_on_the_command_line_is_not_repeated(self, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert in_process("transcribe", "a.wav", flag, KEY) == 64
        assert in_process("transcribe", "a.wav", f"{flag}={KEY}") == 64
        assert in_process("transcribe", "a.wav", "--pace", KEY) == 64
        assert KEY not in capsys.readouterr().err

    def test_nor_where_only_its_place_may_stand(self, tmp_path: Path) -> None:
        (tmp_path / "a.raw").write_bytes(bytes(3200))
        done = command("transcribe", f"{tmp_path}/a.raw", "--encoding", "linear16", "--sample-rate", "16000", "--api-key", KEY)

        assert done.returncode == 64
        assert done.stderr.count(b"\n") == 1
        assert b"never the key itself" in done.stderr
        assert KEY.encode() not in done.stderr

    def test_what_cannot_be_decoded_is_no_traceback(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert in_process("explain", "\udcff\x1b[2J") == 64
        assert capsys.readouterr().err.rstrip("\n").isprintable()


class TestCheck:
    def test_a_good_config_is_described_with_its_url(self, good: str) -> None:
        done = command("check", good)

        assert (done.returncode, done.stderr) == (0, b"")
        assert "# ws://127.0.0.1:9/v1/listen?model=nova-3" in done.stdout.decode()
        assert 'name = "liñe-1"' in done.stdout.decode()

    def test_what_is_not_there_yet_is_a_warning(self, good: str, capsys: pytest.CaptureFixture[str]) -> None:
        """Whoever starts the service may make it first; but most often it is a slip of the pen."""
        text = Path(good).read_text().replace("one.wav", "two.wav").replace('"transcripts"', '"/nowhere/at/all"')
        Path(good).write_text(text)

        assert in_process("check", good) == 0
        warned = capsys.readouterr().err.splitlines()
        assert len(warned) == 2
        assert "there is no file" in warned[0]
        assert "/nowhere/at/all cannot be written to" in warned[1]

    def test_a_bad_one_has_each_fault_on_a_line_and_78(self, bad: str) -> None:
        done = command("check", bad)
        lines = done.stderr.decode().splitlines()

        assert (done.returncode, done.stdout) == (78, b"")
        assert len(lines) == 3
        assert all(line.startswith("stream-supervisor: ") for line in lines)
        assert "did you mean name?" in lines[0]

    def test_one_that_is_not_there(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert in_process("check", f"{tmp_path}/none") == 78
        assert "cannot be read: No such file or directory" in capsys.readouterr().err

    def test_a_key_that_is_not_there_is_found_out(self, good: str, capsys: pytest.CaptureFixture[str]) -> None:
        text = Path(good).read_text()
        Path(good).write_text(text.replace('url = "ws://127.0.0.1:9"', 'api_key = "env:NO_SUCH"'))
        assert in_process("check", good) == 78
        assert "the variable NO_SUCH is not set" in capsys.readouterr().err

        Path(good).write_text(text.replace('url = "ws://127.0.0.1:9"', ""))
        assert in_process("check", good) == 78
        assert "no Deepgram key: export it as DEEPGRAM_API_KEY" in capsys.readouterr().err

    def test_a_key_that_is_there_is_not_shown(self, good: str, capsys: pytest.CaptureFixture[str]) -> None:
        text = Path(good).read_text()
        Path(good).write_text(text.replace('url = "ws://127.0.0.1:9"', 'api_key = "env:THERE"'))
        assert in_process("check", good, environ={"THERE": KEY}) == 0
        shown = capsys.readouterr()

        assert 'api_key = "env:THERE"' in shown.out
        assert KEY not in shown.out + shown.err

    def test_what_is_doubtful_is_said_beside_it(self, good: str, capsys: pytest.CaptureFixture[str]) -> None:
        key = Path(good).parent / "key"
        key.write_text(KEY)
        key.chmod(0o644)
        text = Path(good).read_text()
        Path(good).write_text(text.replace('url = "ws://127.0.0.1:9"', f'api_key = "file:{key}"\noptions = {{ unheard_of = 1 }}'))
        assert in_process("check", good) == 0
        warnings = capsys.readouterr().err.splitlines()

        assert len(warnings) == 2
        assert "unheard_of" in warnings[0]
        assert "chmod 600" in warnings[1]


class TestExplain:
    def test_a_paste_from_standard_input(self) -> None:
        done = command("explain", "-", input=b'{"code": 1011, "payload": "NET-0001", "x": "\xff\x1b[2J"}')

        assert done.returncode == 0
        assert b"NET-0001" in done.stdout
        assert b"Check" in done.stdout
        assert b"\x1b" not in done.stdout

    @pytest.mark.parametrize("data", [b"nothing known", b"\xff\xfe\x00\x01"])
    def test_nothing_that_is_known_is_64(self, data: bytes) -> None:
        done = command("explain", "-", input=data)

        assert (done.returncode, done.stdout) == (64, b"")
        assert done.stderr.count(b"\n") == 1

    def test_bare_it_tells_all(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert in_process("explain") == 0
        assert "NET-0000" in capsys.readouterr().out

    def test_without_standard_input(self) -> None:
        done = through_shell("$S explain - <&-")

        assert b"Traceback" not in done.stderr


class TestStreamsThatBreak:
    """Nobody reads, the disk is full, or there is no stream at all: a line at most, and never a traceback."""

    @pytest.mark.parametrize("line", ["explain | head -1", "explain | true", "check $C | true", "--help | true", "explain --help | head -1"])
    def test_a_reader_that_leaves(self, good: str, line: str) -> None:
        done = through_shell(f"$S {line}; exit ${{PIPESTATUS[0]}}", good)

        assert done.returncode in (0, 74)
        assert done.stderr == b""

    def test_a_reader_that_has_left_before(self, good: str) -> None:
        for args in (["check", good], ["explain"], ["--help"]):
            reads, writes = os.pipe()
            os.close(reads)
            done = command(*args, stdout=writes)
            os.close(writes)

            assert (done.returncode, done.stderr) == (74, b"")

    @pytest.mark.parametrize("line", ["explain", "check $C", "--help", "--version"])
    def test_a_full_disk(self, good: str, line: str) -> None:
        done = through_shell(f"$S {line} > /dev/full", good)

        assert done.returncode == 74
        assert done.stderr.startswith(b"stream-supervisor: cannot write to standard output: No space left on device")
        assert done.stderr.count(b"\n") == 1

    @pytest.mark.parametrize("line", ["explain", "check $C"])
    def test_no_standard_output(self, good: str, line: str) -> None:
        done = through_shell(f"$S {line} >&-", good)

        assert done.returncode == 74
        assert done.stderr.startswith(b"stream-supervisor: cannot write to standard output: it is closed")

    def test_no_standard_error(self, bad: str) -> None:
        """What belongs there must not end up among what was asked for."""
        done = through_shell("$S check $C 2>&-", bad)

        assert (done.returncode, done.stdout) == (78, b"")

    def test_a_standard_error_that_is_full(self, bad: str) -> None:
        assert through_shell("$S check $C 2>/dev/full", bad).returncode == 78

    def test_no_stream_at_all(self, good: str) -> None:
        assert through_shell("$S check $C <&- >&- 2>&-", good).returncode == 74

    def test_an_encoding_without_our_letters(self, good: str) -> None:
        done = command("check", good, environ={"PYTHONIOENCODING": "ascii"})

        assert (done.returncode, done.stderr) == (0, b"")
        assert b"li\\xf1e-1" in done.stdout


class TestSupervisord:
    """It has the same import package: which files are whose is then a matter of luck."""

    @pytest.mark.parametrize("installed", [True, False])
    def test_beside_it_nothing_starts(self, tmp_path: Path, good: str, installed: bool) -> None:
        """Both in one directory, as pip leaves them."""
        package = tmp_path / "site" / "supervisor"
        package.mkdir(parents=True)
        for ours in (ROOT / "supervisor").iterdir():
            (package / ours.name).symlink_to(ours)
        if installed:
            (package / "supervisord.py").touch()
        done = command("check", good, cwd=tmp_path, environ={"PYTHONPATH": str(tmp_path / "site")})

        assert done.returncode == (78 if installed else 0)
        assert done.stderr.count(b"\n") == installed
        assert done.stderr.startswith(b"stream-supervisor: supervisord is installed in this environment") is installed


class TestWhatACommandRaises:
    """A command in place of `check`, which does as it is told."""

    def told(self, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
        def failing(_args: object, _environ: object) -> int:
            raise error

        monkeypatch.setattr("supervisor.commands.check.run", failing)
        return in_process("check", "x")

    def test_a_problem_is_its_line_and_its_code(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.told(Problem("no input", "name one", Exit.NO_INPUT), monkeypatch) == 66
        assert capsys.readouterr().err == "stream-supervisor: no input: name one\n"

    def test_so_it_is_out_of_a_nursery(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        inner = ExceptionGroup("", [Problem("first", "", Exit.DENIED)])
        assert self.told(ExceptionGroup("", [inner, Problem("second")]), monkeypatch) == 77
        assert capsys.readouterr().err == "stream-supervisor: first\nstream-supervisor: second\n"

    @pytest.mark.parametrize("error", [ValueError("x"), ExceptionGroup("", [Problem("y"), ValueError("x")])])
    def test_a_bug_carries_its_traceback_and_is_70(
        self, error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.told(error, monkeypatch) == 70
        assert "Traceback" in capsys.readouterr().err

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), BaseExceptionGroup("", [KeyboardInterrupt()])])
    def test_an_interrupt_is_quiet(
        self, error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.told(error, monkeypatch) == 130
        assert capsys.readouterr().err == ""


def test_what_is_left_out_is_the_contracts_default() -> None:
    args = parser().parse_args(["transcribe", "a.wav"])

    assert (args.source, args.url, args.api_key, args.live, args.pace, args.format) == (["a.wav"], None, None, None, "max", None)
    assert (args.option, args.raw, args.quiet, args.log_format) == ([], False, False, "auto")
    assert parser().parse_args(["transcribe", "a", "b", "--no-live"]).live is False


def test_what_it_says_of_keys_and_logs_is_what_they_take() -> None:
    """Said again in the command line, so that --help need not import them."""
    assert (credential.FORMS, tuple(logs.LEVELS), logs.FORMATS) == (cli.FORMS, cli.LEVELS, cli.FORMATS)


def test_help_and_explain_import_nothing_that_is_slow() -> None:
    for arguments in (["--help"], ["explain", "1006"]):
        code = f"import sys; from supervisor.cli import run; run({arguments!r}); sys.exit(sorted({{'trio', 'structlog'}} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=60, check=False)

        assert done.stderr.strip() == b"[]"
