"""Where the Deepgram key is, and the header made of it.

What is kept is the place, never the key: it is read again for each handshake, so that a key that was changed, or a
token that lives for 30 seconds, is always the latest. No message shows a key, nor text that could be one.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, NoReturn

import trio

from supervisor.core.plain import plain
from supervisor.core.problem import Exit, Problem

Kind = Literal["env", "file", "credential", "command"]
KINDS: tuple[Kind, ...] = ("env", "file", "credential", "command")
DEFAULT_VARIABLE = "DEEPGRAM_API_KEY"
FORMS = "env:NAME, file:PATH, credential:NAME or command:COMMAND"

LONGEST = 16 * 1024  # bytes; a JWT has one or two thousand
JWT = re.compile(r"eyJ[\w-]*\.[\w-]+\.[\w-]*", re.ASCII)
VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
LIKE_A_KEY = re.compile(r"[0-9A-Fa-f]{24,}|[\w-]{40,}|eyJ.*", re.ASCII | re.DOTALL)
KEY_INSIDE = re.compile(r"(?<![\w.-])(?:[0-9A-Fa-f]{24,}|[\w-]{40,}|eyJ[\w.-]+)(?![\w-])", re.ASCII)


def credential_from(
    argument: str | None,
    environ: Mapping[str, str],
    *,
    learn: Callable[[str], None] = lambda _: None,
    exit_code: Exit = Exit.CONFIG,
) -> Credential | None:
    """The credential that `--api-key` or the config names; without either, DEEPGRAM_API_KEY's, or None if that is unset.

    `learn` is given each key that is read, so that logs can hide it. Raises Problem for a form that is none of ours.
    """
    if argument is None:
        set_and_full = environ.get(DEFAULT_VARIABLE, "").strip()
        return Credential("env", DEFAULT_VARIABLE, environ, learn) if set_and_full else None
    prefix, colon, name = argument.partition(":")
    if not colon or prefix not in KINDS:
        near = get_close_matches(prefix, KINDS, 1, 0.7) if colon else []
        hint = f"did you mean {near[0]}:...?" if near else f"write {FORMS}"
        raise Problem("api_key says where the key is, and is never the key itself", hint, exit_code)
    if not name.strip():
        raise Problem(f"api_key = {prefix}: names nothing", f"write {FORMS}", exit_code)
    if "\0" in name:
        raise Problem(f"api_key = {prefix}:... has a NUL in it", f"write {FORMS}", exit_code)
    if prefix == "env" and not VARIABLE.fullmatch(name):
        raise Problem("api_key = env:... is followed by something that is no variable's name",
                      f"export the key as {DEFAULT_VARIABLE} and write env:{DEFAULT_VARIABLE}", exit_code)  # fmt: skip
    if prefix == "credential" and ("/" in name or name in {".", ".."}):
        raise Problem("api_key = credential:... takes a name and no path", "write file:PATH for a path", exit_code)
    return Credential(prefix, name, environ, learn)


@dataclass(frozen=True, slots=True)
class Credential:
    """A place where a key is."""

    kind: Kind
    name: str  # of the variable, file or credential; or the command
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    learn: Callable[[str], None] = field(default=lambda _: None, repr=False)
    deadline: float = 10.0  # seconds that a command may take

    async def authorization(self) -> str:
        """The value of the Authorization header, from the key as it is now.

        Raises Problem when there is none to be had. A command that fails may well succeed at the next attempt.
        """
        key = await self._output() if self.kind == "command" else self._read()
        return f"Bearer {key}" if JWT.fullmatch(key) else f"Token {key}"

    def check(self) -> tuple[str, ...]:
        """Warnings, once the key has been looked at; a command is not run for that. Raises Problem as above."""
        if self.kind != "command":
            self._read()
        path = self._path()
        if path is not None and stat.S_IMODE(path.stat().st_mode) & (stat.S_IROTH | stat.S_IWOTH):
            return (f"every user of this machine can open {_shown(str(path))}: chmod 600 it",)
        return ()

    def describe(self) -> str:
        """Where the key is, for people."""
        return f"{self.kind}:{_shown(self.name)}"

    def _path(self) -> Path | None:
        if self.kind == "file":
            home = self.environ.get("HOME", "")  # no shell expands the ~ in file:~/key
            return Path(home, self.name[2:]) if home and self.name.startswith("~/") else Path(self.name)
        if self.kind == "credential":
            directory = self.environ.get("CREDENTIALS_DIRECTORY", "")
            if not directory:
                _no_key(self.describe() + ": CREDENTIALS_DIRECTORY is not set",
                        f"systemd sets it: add LoadCredential={_shown(self.name)}:/path/to/the/key to the unit")  # fmt: skip
            return Path(directory, self.name)
        return None

    def _read(self) -> str:
        path = self._path()
        if path is None:
            if self.name not in self.environ:
                _no_key(f"the variable {_shown(self.name)} is not set", "export it, or name another place")
            return self._checked(self.environ[self.name], f"the variable {_shown(self.name)}")
        shown = _shown(str(path))
        try:
            data = _read_regular_file(path)
        except OSError as error:
            _no_key(f"{shown}: {error.strerror or 'cannot be read'}", "check the path and who may read it")
        if data is None:
            _no_key(f"{shown} is not a regular file", "to read from a program write command:COMMAND")
        return self._checked(data, shown)

    async def _output(self) -> str:
        """What the command prints, whole, within the deadline."""
        with trio.move_on_after(self.deadline) as running:
            try:
                output, complaint, status = await _run(self.name, self.environ)
            except OSError as error:
                _no_key(f"the key's command could not be started ({error.strerror})", "check that /bin/sh can run it")
        if running.cancelled_caught:
            _no_key(f"the key's command took more than {self.deadline:g} s", "make it answer, or read a file instead")
        if status:
            ended = f"exit status {status}" if status > 0 else f"signal {-status}"
            last = complaint.decode("utf-8", "replace").strip().rpartition("\n")[2]
            _no_key(f"the key's command failed ({ended})", without_keys(plain(last)) or "run it by hand to see why")
        return self._checked(output, "the output of the key's command")

    def _checked(self, raw: bytes | str, place: str) -> str:
        try:
            key = (raw.decode("ascii") if isinstance(raw, bytes) else raw).strip()
        except UnicodeDecodeError:
            _no_key(f"{place} has characters that no key has", "save it as plain ASCII text, with the key alone")
        if not key:
            _no_key(f"{place} is empty", "put the key there")
        if len(key) > LONGEST:
            _no_key(f"{place} is too long to be a key", "put the key alone there")
        if key[0] in "\"'" or key.split()[0].lower() in {"token", "bearer"}:
            _no_key(f"{place} has more in it than the key", "leave out the quotes, and the words Token and Bearer")
        if not all("!" <= character <= "~" for character in key):
            _no_key(f"{place} has spaces, line ends or other characters inside the key", "put the key alone there")
        self.learn(key)
        return key


def _shown(name: str) -> str:
    """The name of a place, unless somebody has put the key itself there."""
    return "***" if LIKE_A_KEY.fullmatch(name) else without_keys(plain(name))


def without_keys(text: str) -> str:
    """The text, with whatever in it could be a key hidden.

    >>> without_keys("unknown argument 0123456789abcdef0123456789abcdef01234567")
    'unknown argument ***'
    """
    return KEY_INSIDE.sub("***", text)


def _no_key(cause: str, hint: str) -> NoReturn:
    raise Problem(f"no Deepgram key: {cause}", hint, Exit.CONFIG)


def _read_regular_file(path: Path) -> bytes | None:
    """A little more than a key's worth of the file; None for what could block, or be read only once."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(fd, "rb", buffering=0) as file:
        return file.read(LONGEST + 2) if stat.S_ISREG(os.fstat(fd).st_mode) else None


async def _run(command: str, environ: Mapping[str, str]) -> tuple[bytes, bytes, int]:
    """Standard output, standard error (bounded, both) and exit status of a shell command.

    It has a process group of its own, which is killed whole when it is not waited for to the end.
    """
    process = await trio.lowlevel.open_process(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env=dict(environ),
    )  # fmt: skip
    assert isinstance(process.stdout, trio.lowlevel.FdStream)
    assert isinstance(process.stderr, trio.lowlevel.FdStream)
    output, complaint = bytearray(), bytearray()
    enough = trio.CancelScope()
    status = 0
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_collect, process.stderr, complaint)
            nursery.start_soon(_collect, process.stdout, output, enough)
            with enough:
                status = await process.wait()
            nursery.cancel_scope.cancel()
        # All that it wrote is in the pipes; a process that it left behind may hold them open for ever.
        _drain(process.stdout.fileno(), output)
        _drain(process.stderr.fileno(), complaint)
        return bytes(output), bytes(complaint), status
    finally:
        if process.returncode is None:  # not reaped yet, so the group's number is still its own
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        with trio.move_on_after(1, shield=True):
            await process.wait()
        with trio.move_on_after(1, shield=True):
            await process.stdout.aclose()
            await process.stderr.aclose()


async def _collect(stream: trio.abc.ReceiveStream, into: bytearray, enough: trio.CancelScope | None = None) -> None:
    """What the stream has, of which more than a key's worth is thrown away: that is `enough`."""
    async for chunk in stream:
        into += chunk[: LONGEST + 2 - len(into)]
        if enough is not None and len(into) > LONGEST:
            enough.cancel()


def _drain(fd: int, into: bytearray) -> None:
    """What can be had from the pipe without waiting."""
    with suppress(BlockingIOError):
        while len(into) <= LONGEST and (chunk := os.read(fd, 65536)):
            into += chunk[: LONGEST + 2 - len(into)]
