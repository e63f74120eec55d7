"""A Debian of its own that is booted by systemd in a container, with this checkout in it and the host's network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

ROOT = Path(__file__).parents[2]
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,make,git,ca-certificates,procps"
EXTRAS = "[proxy,webhook]"


def needs(*tools: str) -> None:
    """Skip, with the reason, where a tool or the right to use it is missing."""
    if os.geteuid() != 0:
        pytest.skip("only root can boot a system or build an image")
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


def wheels(directory: Path) -> Path:
    """Everything that an installation without a network needs, made for this Python."""
    made = directory / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", "--wheel-dir", str(made)]
    subprocess.run([*pip, f"{ROOT}{EXTRAS}", "hatchling"], check=True, timeout=300)
    for own in made.glob("stream_supervisor-*"):  # what is installed is built from the checkout
        own.unlink()
    return made


def checkout(to: Path) -> None:
    """What is tracked, as it is now."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], check=True, capture_output=True).stdout
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def debian(directory: Path, packages: str = PACKAGES) -> Path:
    """A bare Debian 12; skips where its packages cannot be had."""
    root = directory / "root"
    made = subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", "bookworm", str(root)],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"no Debian can be made here: {made.stderr.strip().splitlines()[-1:]}")
    return root


class Machine:
    """Booted; ends with the context that made it."""

    def __init__(self, root: Path, pid: int) -> None:
        self.root = root
        self._pid = pid

    def run(self, *command: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._inside(command), capture_output=True, text=True, timeout=timeout, check=check, stdin=subprocess.DEVNULL
        )

    async def does(self, *command: str, check: bool = True) -> str:
        """The same beside an event loop; what it wrote."""
        done = await trio.run_process(
            self._inside(command), capture_stdout=True, capture_stderr=True, check=check, stdin=b""
        )
        return (done.stdout + done.stderr).decode()

    def _inside(self, command: Sequence[str]) -> list[str]:
        env = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0"]
        env += ["PIP_NO_INDEX=1", "PIP_FIND_LINKS=/wheels"]
        return ["nsenter", "-t", str(self._pid), "-m", "-u", "-i", "-n", "-p", *env, *command]

    def show(self, *properties: str, unit: str = "stream-supervisor") -> list[str]:
        shown = self.run("systemctl", "show", *[f"--property={name}" for name in properties], unit).stdout
        found = dict(line.split("=", 1) for line in shown.splitlines())
        return [found[name] for name in properties]

    def write(self, path: str, text: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def journal(self) -> str:
        return self.run("journalctl", "--unit=stream-supervisor", "--output=cat", "--no-pager").stdout


@contextmanager
def booted(root: Path) -> Iterator[Machine]:
    command = ["systemd-nspawn", "--quiet", "-D", str(root), "--register=no", "--keep-unit", "--console=pipe", "-b"]
    with (root.parent / "boot.log").open("wb") as log:
        outside = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        machine = Machine(root, _init_of(outside))
        _until_up(machine)
        yield machine
    finally:
        outside.terminate()  # nspawn passes it on as an orderly power-off
        try:
            outside.wait(30)
        except subprocess.TimeoutExpired:
            outside.kill()
            outside.wait(10)


def _init_of(outside: subprocess.Popen[bytes]) -> int:
    """Its first process, as this machine numbers it."""
    children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children")
    for _ in range(200):
        if outside.poll() is not None:
            pytest.skip("systemd-nspawn cannot boot anything here")
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.05)
    pytest.skip("systemd-nspawn has started nothing")


def _until_up(machine: Machine) -> None:
    state = ""
    for _ in range(300):
        done = machine.run("systemctl", "is-system-running", check=False)
        state = done.stdout.strip()
        if state in ("running", "degraded"):
            return
        time.sleep(0.1)
    pytest.skip(f"systemd did not come up: {state or done.stderr}")
