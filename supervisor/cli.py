"""The command line: what may be written there, and the one place where a Problem becomes a line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

from . import __version__
from .core.problem import Exit, Problem
from .printing import flush, put, say

# Also in `credential` and `logs`, which take half a second to import: --help and explain need neither.
FORMS = "env:NAME, file:PATH, credential:NAME or command:COMMAND"
LEVELS = ("debug", "info", "warning", "error", "critical")
FORMATS = ("auto", "json", "console")
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class Parser(argparse.ArgumentParser):
    """Answers a wrong command line in one line, with the exit code for it."""

    def error(self, message: str) -> NoReturn:
        from .credential import without_keys  # late: it is slow to import, and seldom wanted

        raise Problem(without_keys(message), f"see {self.prog} --help", Exit.USAGE)

    def _print_message(self, message: str, file: object = None) -> None:
        """Help and version are what was asked for: argparse would ignore that they cannot be written."""
        del file
        put(message.rstrip("\n"))


def run(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run one command; returns its exit code."""
    try:
        code = _run_command(argv, environ)
        flush()
        return code
    except Problem as problem:
        return _told([problem])
    except BaseExceptionGroup as group:  # out of a nursery
        problems = list(_leaves(group))
        if not all(isinstance(problem, Problem) for problem in problems):
            return _crashed(group)
        return _told([problem for problem in problems if isinstance(problem, Problem)])
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has left, and knows it
        return int(Exit.OUTPUT)
    except Exception as error:
        return _crashed(error)


def _run_command(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    try:
        args = parser().parse_args(argv)
    except SystemExit as ended:  # --help and --version have printed what was asked for
        return int(ended.code or 0)
    command = importlib.import_module(f".commands.{args.command}", __package__)
    return int(command.run(args, environ))


def _told(problems: Sequence[Problem]) -> int:
    """A line for each problem; the exit code of the first."""
    for problem in problems:
        faults: Sequence[Problem] = getattr(problem, "faults", ()) or getattr(problem, "problems", ()) or (problem,)
        for fault in faults:
            say(f"stream-supervisor: {fault}")
    return int(problems[0].exit_code)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _crashed(error: BaseException) -> int:
    """A bug, which carries its traceback."""
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in _leaves(error)):
        return INTERRUPTED
    say("".join(traceback.format_exception(error)).rstrip())
    return int(Exit.BUG)


def parser() -> argparse.ArgumentParser:
    top = Parser(
        prog="stream-supervisor",
        description="Streams live call audio to Deepgram's speech-to-text WebSocket API and loses none of it.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    _transcribe(_command(commands, "transcribe", "transcribe audio files, pipes and what commands write"))
    _run(_command(commands, "run", "run the calls that a config lists, as a service"))
    _check(_command(commands, "check", "say what a config means, or all that is wrong with it"))
    _calls(_command(commands, "calls", "show the calls of a running service; end, pause or resume one"))
    _drain(_command(commands, "drain", "let a running service take no more calls, and end with those it has"))
    _asks(_command(commands, "reload", "let a running service take up its config anew"))
    _asks(_command(commands, "health", "say how a running service is; exit code 0 if it does its work"))
    _explain(_command(commands, "explain", "say what a closure means, what is done about it and what to check"))
    _emulate(_command(commands, "emulate", "run a server that speaks Deepgram's protocol, with faults on demand"))
    _demo(_command(commands, "demo", "transcribe a shipped reading while connections die; no key, no network"))
    return top


def _command(
    commands: argparse._SubParsersAction[Parser], name: str, purpose: str
) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".", allow_abbrev=False)


def _transcribe(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", nargs="+", metavar="SOURCE", help="an audio file, - (stdin), a FIFO, or command:COMMAND")
    command.add_argument("--url", help="default: $DEEPGRAM_URL, else wss://api.deepgram.com/v1/listen")
    command.add_argument("--api-key", metavar="PLACE", help=f"{FORMS}; default: $DEEPGRAM_API_KEY")
    command.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="any query parameter of Deepgram's")
    audio = command.add_argument_group("audio without a header")
    audio.add_argument("--encoding", help="linear16, linear32, mulaw or alaw")
    audio.add_argument("--sample-rate", type=int, metavar="HZ")
    audio.add_argument("--channels", type=int, metavar="N")
    command.add_argument(
        "--live", action=argparse.BooleanOptionalAction, default=None,
        help="a live source is never made to wait; default for a FIFO and a command",
    )  # fmt: skip
    command.add_argument(
        "--pace", choices=("realtime", "max"), default="max",
        help="how fast a source that can wait is sent; max, the default, is 1.25 times real time",
    )  # fmt: skip
    command.add_argument("--out", metavar="FILE", help="append the transcript to a file")
    command.add_argument("--format", choices=("text", "jsonl"), help="default: text on a terminal, else jsonl")
    command.add_argument("--raw", action="store_true", help="add Deepgram's own message to each event")
    command.add_argument("--save-sent", metavar="FILE.wav", help="save the audio that went out, to be played")
    command.add_argument("--call-id", metavar="ID", help="default: the name of the source")
    _logs(command)


def _run(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", metavar="CONFIG.toml")
    _logs(command)


def _check(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", metavar="CONFIG.toml")
    command.add_argument(
        "--network", action="store_true",
        help="try it out too: a session with the options of each call and intake, 2 s of silence each, which are billed",
    )  # fmt: skip


def _calls(command: argparse.ArgumentParser) -> None:
    command.add_argument("action", nargs="?", choices=("show", "end", "pause", "resume"), help="what to do with one; default: list all")
    command.add_argument("call_id", nargs="?", metavar="ID", help="the call")
    command.add_argument("--watch", action="store_true", help="list them again every second")
    command.add_argument("--json", action="store_true", help="as JSON")
    _asks(command)


def _drain(command: argparse.ArgumentParser) -> None:
    command.add_argument("--now", action="store_true", help="end the calls too; what they gave is still delivered")
    _asks(command)


def _asks(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--socket", metavar="PATH", help="default: $STREAM_SUPERVISOR_SOCKET, else /run/stream-supervisor/admin.sock"
    )


def _explain(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "what", nargs="*", metavar="CODE|STATUS|PAYLOAD",
        help="or a pasted log line or dg-error body, or - to read it from stdin; without any: everything",
    )  # fmt: skip


def _emulate(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "what", nargs="*", metavar="audiosocket FILE",
        help="not Deepgram but an Asterisk, which plays FILE, a WAV, or numbered:SECONDS of audio, over AudioSocket",
    )  # fmt: skip
    deepgram = command.add_argument_group("as Deepgram")
    deepgram.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="to listen at; default: 127.0.0.1")
    deepgram.add_argument("--port", type=int, default=0, help="default: any that is free")
    deepgram.add_argument("--faults", metavar="FILE.toml", help="what goes wrong with which connection")
    deepgram.add_argument(
        "--engine", choices=("numbered", "pocketsphinx"), default="numbered",
        help="what is heard: numbered audio, as `python -m supervisor.emulator SECONDS` makes it (the default), or the "
        "reading of the demo",
    )  # fmt: skip
    deepgram.add_argument("--seed", type=int, default=0, help="of all chance")
    asterisk = command.add_argument_group("as an Asterisk")
    asterisk.add_argument("--to", metavar="HOST:PORT", help="where the intake listens")
    asterisk.add_argument("--calls", type=int, default=1, metavar="N", help="so many at once; default: 1")
    asterisk.add_argument("--hold", action="append", default=[], metavar="AFTER:SECONDS", help="send nothing for a while")
    asterisk.add_argument("--mislabelled", action="store_true", help="G.711 labelled as 16-bit audio, as without c(slin)")
    _logs(command)


def _demo(command: argparse.ArgumentParser) -> None:
    command.add_argument("--plain", action="store_true", help="lines rather than a live view")


def _logs(command: argparse.ArgumentParser) -> None:
    logs = command.add_argument_group("logs, on standard error")
    logs.add_argument("--log-level", choices=LEVELS, help="default: info")
    logs.add_argument("--log-format", choices=FORMATS, default="auto")
    logs.add_argument("--quiet", action="store_true", help="errors only")
