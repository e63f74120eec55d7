"""What systemd is told about the service, as sd_notify(3) has it.

Without NOTIFY_SOCKET nothing is sent, and whatever goes wrong in sending is not worth a call: nothing here raises.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from supervisor.core.plain import plain


class Notifier:
    """Every method says whether the message was handed over."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # an abstract socket: its name starts with a NUL
            self._address = "\0" + self._address[1:]
        self.watchdog_interval = watchdog_interval(environ)

    def ready(self) -> bool:
        return self._tell("READY=1")

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._tell(f"STATUS={plain(text)}")

    def reloading(self) -> bool:
        """To be followed by `ready`. The time is the monotonic clock's, as Type=notify-reload wants it."""
        return self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> bool:
        return self._tell("STOPPING=1")

    def watchdog(self) -> bool:
        return self._tell("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> bool:
        """Starting or stopping may take so many seconds more, from now on."""
        return self._tell(f"EXTEND_TIMEOUT_USEC={max(0, round(seconds * 1e6))}")

    def _tell(self, state: str) -> bool:
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as to:
                to.sendto(state.encode("utf-8", "replace"), self._address)
        except (OSError, ValueError):
            return False
        return True


def watchdog_interval(environ: Mapping[str, str], pid: int | None = None) -> float | None:
    """Seconds between two signs of life, half of what systemd waits; None when it does not watch this process.

    >>> watchdog_interval({"WATCHDOG_USEC": "30000000"})
    15.0
    """
    if environ.get("WATCHDOG_PID", str(pid or os.getpid())) != str(pid or os.getpid()):
        return None
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return microseconds / 2e6 if microseconds > 0 else None
