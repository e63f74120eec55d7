"""Podman with a store of its own, the image as its Dockerfile builds it, and containers that are confined as the README says."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.real.machine import checkout, debian, wheels

USER = 65532
IMAGE = "localhost/stream-supervisor"
CONFINED = [
    "--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges",
    "--mount=type=tmpfs,destination=/run/stream-supervisor,U=true",  # Podman's word for Docker's uid= and gid=
    "--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024",  # what whoever tests may give
]  # fmt: skip


class Podman:
    """With images, containers and mounts that nobody else sees."""

    def __init__(self, directory: Path) -> None:
        self.store = ["--root", str(directory / "storage"), "--runroot", str(directory / "run")]
        self._command = ["podman", *self.store, "--runtime=runc", "--cgroup-manager=cgroupfs"]

    def __call__(self, *arguments: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self._command, *arguments], capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    async def does(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same beside an event loop."""
        return await trio.to_thread.run_sync(lambda: self(*arguments))

    def build(self, directory: Path) -> None:
        """The image, without a network: a bare Debian with wheels in it is what the Dockerfile is told to begin from."""
        root, context = debian(directory, "python3,python3-venv,ca-certificates"), directory / "context"
        wheels(directory).rename(root / "wheels")
        (root / "etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        checkout(context)
        subprocess.run(["tar", "-C", str(root), "-cf", str(directory / "base.tar"), "."], check=True, timeout=120)
        shutil.rmtree(root)
        imported = self("import", str(directory / "base.tar"), "localhost/base", check=False)
        if imported.returncode:
            pytest.skip(f"podman cannot keep an image here: {imported.stderr.strip().splitlines()[-1:]}")
        built = subprocess.run(
            ["buildah", *self.store, "bud", "--isolation=chroot", "--pull-never", "--format=docker", "--build-arg=PYTHON=localhost/base",
             "--build-arg=VERSION=1.2.3", "--build-arg=REVISION=abc", "--build-arg=SOURCE=https://example.com/fork",
             f"--file={context / 'deploy/Dockerfile'}", f"--tag={IMAGE}", str(context)],
            capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert built.returncode == 0, built.stdout + built.stderr

    def clear(self) -> None:
        self("rm", "--all", "--force", "--time=0", check=False)
        self("rmi", "--all", "--force", check=False)


class Container:
    """One that was started."""

    def __init__(self, podman: Podman, name: str, kept: Path) -> None:
        self.podman, self.name, self.kept = podman, name, kept

    def inspect(self, what: str) -> str:
        return self.podman("inspect", "--format", "{{" + what + "}}", self.name).stdout.strip()

    def does(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.podman("exec", self.name, *command, check=check)

    def health(self) -> int:
        """As the image's HEALTHCHECK tells it."""
        return self.podman("healthcheck", "run", self.name, check=False).returncode

    def log(self) -> str:
        done = self.podman("logs", self.name)
        return done.stdout + done.stderr


@contextmanager
def container(podman: Podman, directory: Path, config: str, *options: str) -> Iterator[Container]:
    """It has the config and a place for its transcripts, and is removed at the end."""
    directory.chmod(0o755)
    etc, kept = directory / "etc", directory / "kept"
    etc.mkdir()
    (etc / "supervisor.toml").write_text(config)
    kept.mkdir(mode=0o700)
    shutil.chown(kept, USER, USER)
    name = f"stream-supervisor-{uuid.uuid4().hex[:8]}"
    mounts = [f"--volume={etc}:/etc/stream-supervisor:ro", f"--volume={kept}:/var/lib/stream-supervisor"]
    podman("run", "--detach", f"--name={name}", *CONFINED, *mounts, *options, IMAGE)
    try:
        yield Container(podman, name, kept)
    finally:
        podman("rm", "--force", "--time=0", name, check=False)
