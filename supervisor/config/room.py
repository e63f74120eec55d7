"""How much memory there is for audio, where the config leaves that to the machine."""

from __future__ import annotations

from pathlib import Path

from supervisor.core.settings import BufferSettings

FALLBACK = 1024**3  # bytes, where nothing can be found out


def total_bytes(buffer: BufferSettings, root: Path = Path("/")) -> int:
    """The bytes that the audio of all calls may take: as configured, or half of what this process may use."""
    return buffer.total or _memory(root) // 2


def _memory(root: Path) -> int:
    """The least of the machine's memory and the limits of this process's cgroup and those above it."""
    found = [*_machine(root), *_cgroup(root)]
    return min(found, default=FALLBACK)


def _machine(root: Path) -> list[int]:
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal" and value.split():
            return [int(value.split()[0]) * 1024]
    return []


def _cgroup(root: Path) -> list[int]:
    """Limits of version 2, and of version 1's memory controller; "max" and absences limit nothing."""
    mounted = root / "sys/fs/cgroup"
    files: list[Path] = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2) if line.count(":") >= 2 else ("", "-", "")
        if controllers not in ("", "memory"):
            continue
        base = mounted if controllers == "" else mounted / "memory"
        name = "memory.max" if controllers == "" else "memory.limit_in_bytes"
        inside = Path(path.lstrip("/"))  # as the host sees it; in a container its own limit is at the top
        files += [base / above / name for above in (inside, *inside.parents)]
    limits = [_text(file).strip() for file in files]
    return [int(limit) for limit in limits if limit.isascii() and limit.isdigit()]


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""
