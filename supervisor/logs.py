"""Logs: structlog's events on standard error, as JSON or for a terminal, and nothing secret in them.

Whatever is logged is cleaned on its way, and lines that repeat are limited. Standard error may break, fill up or stop
being read: then lines are dropped and counted, and no call notices.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from .cleaning import HIDDEN as HIDDEN  # for who knows logs, and need not know how they are cleaned
from .cleaning import Secrets as Secrets
from .cleaning import cleaner
from .limiting import Limiter

Format = Literal["auto", "json", "console"]
FORMATS: tuple[Format, ...] = ("auto", "json", "console")
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}  # sd-daemon(3)
FOREIGN = ("trio-websocket", "wsproto")  # they log each frame at debug


class Stderr:
    """Writes whole lines to a descriptor without ever raising, and without waiting for whoever reads it.

    What it cannot take at once is dropped; the next line that goes through is preceded by how many were.
    """

    PIECE = 4096  # a pipe that polls writable takes this much without blocking

    def __init__(self, fd: int | None) -> None:
        self._fd = None if fd is None else _not_blocking(fd)
        self._torn = False
        self.dropped = 0

    def msg(self, line: bytes) -> None:
        if self.dropped:
            notice = b'{"event":"log_lines_dropped","level":"warning","count":%d}\n' % self.dropped
            if not self._write(b"\n" + notice if self._torn else notice):
                self.dropped += 1
                return
            self.dropped = 0
        if not self._write(line + b"\n"):
            self.dropped += 1

    debug = info = warning = warn = error = critical = fatal = exception = log = msg

    def _write(self, data: bytes) -> bool:
        if self._fd is None:
            return False
        rest = memoryview(data)
        try:
            while rest:
                if not _takes_more(self._fd):
                    break
                rest = rest[os.write(self._fd, rest[: self.PIECE]) :]
        except OSError:
            pass
        self._torn = len(data) > len(rest) > 0 or (self._torn and len(rest) == len(data))
        return not rest


def _not_blocking(fd: int) -> int:
    """A terminal opened anew, for this use alone: it polls writable for a single byte, and a longer line would wait."""
    if os.isatty(fd):
        with suppress(OSError):  # another user's, or not in this container
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return fd


def _takes_more(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(event & select.POLLOUT for _, event in poll.poll(0))


def is_journal(fd: int, environ: Mapping[str, str]) -> bool:
    """Whether the descriptor goes to journald, which systemd says by its device and inode (systemd.exec(5))."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def wants_colour(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """NO_COLOR before FORCE_COLOR before what the stream is, as Python itself has it."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and environ.get("TERM") != "dumb"


def is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


def build(
    environ: Mapping[str, str],
    *,
    level: str = "info",
    form: Format = "auto",
    secrets: Secrets | None = None,
    stream: TextIO | None = None,
    fd: int | None = None,
    clock: Callable[[], float] | None = None,
) -> FilteringBoundLogger:
    """A logger; nothing global is touched. `fd` is where the lines go, `stream` what is asked whether it is a terminal.

    Lines that repeat are limited if there is a `clock` to do it by, in seconds.
    """
    journal = fd is not None and is_journal(fd, environ)
    console = form == "console" or (form == "auto" and is_terminal(stream))
    finish = _chain(
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        cleaner(secrets or Secrets()),
        structlog.dev.ConsoleRenderer(colors=wants_colour(stream, environ)) if console else _render_json,
        _encoder(journal, over_status=console and is_terminal(stream) and environ.get("TERM") != "dumb"),
    )
    limited = [Limiter(finish, clock)] if clock else []
    return cast(
        "FilteringBoundLogger",
        structlog.wrap_logger(
            cast("WrappedLogger", Stderr(fd)),
            processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, *limited, finish],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
            context_class=dict,
            cache_logger_on_first_use=True,
        ).bind(),
    )


def configure(
    environ: Mapping[str, str],
    *,
    level: str = "info",
    form: Format = "auto",
    secrets: Secrets | None = None,
    clock: Callable[[], float] | None = time.monotonic,
) -> FilteringBoundLogger:
    """The process's logger, on standard error; stdlib's records go the same way. To be called once, by the command."""
    stream = sys.stderr
    log = build(environ, level=level, form=form, secrets=secrets, stream=stream, fd=_descriptor(stream), clock=clock)
    root = logging.getLogger()
    root.handlers[:] = [_Forward(log)]
    root.setLevel(logging.WARNING)
    for name in FOREIGN:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    return log


def _chain(*processors: Processor) -> Processor:
    def process(logger: WrappedLogger, method: str, event: Any) -> Any:
        for each in processors:
            event = each(logger, method, event)
        return event

    return process


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return msgspec.json.encode({**first, **event}).decode()


def _encoder(journal: bool, over_status: bool) -> Callable[[WrappedLogger, str, Any], bytes]:
    def encode(_logger: WrappedLogger, method: str, line: str) -> bytes:
        if journal:  # each line of a traceback is an entry of its own there
            prefix = f"<{PRIORITIES.get(method, 6)}>"
            line = prefix + line.replace("\n", "\n" + prefix)
        if over_status:  # a status line may stand where this one begins
            line = "\r\x1b[K" + line
        return line.encode("utf-8", "replace")

    return encode


def _descriptor(stream: TextIO | None) -> int | None:
    """None where the process was started without standard error: its number may by now be another file's."""
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


class _Forward(logging.Handler):
    """Records of the standard library's logging, as events."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = max((number for number in LEVELS.values() if number <= record.levelno), default=10)
        try:
            self._log.log(level, record.getMessage(), logger=record.name, exc_info=record.exc_info)
        except Exception:  # a record that cannot be formatted is its author's mistake, and no call's end
            self._log.log(level, "log_record_unreadable", logger=record.name)
