"""What the first process of a container owes to all the others: it passes signals on, and waits for orphans.

The kernel gives it every process whose parent is gone, such as those that a `command:` source leaves behind, and lets it
ignore each signal that it does not catch. A program that waits for its own children only does neither, so it becomes
the child of one that does nothing else.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

PASSED_ON = {
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCONT,
}  # fmt: skip


def go_on_as_a_child() -> None:
    """Return in a child; this process ends when the child does, with its exit code, or as a shell tells of a signal."""
    awaited = PASSED_ON | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)  # one that comes too early is kept, and then passed on
    child = os.fork()
    if child == 0:
        _take_the_terminal()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    while True:
        number = signal.sigwait(awaited)
        if number != signal.SIGCHLD:
            os.kill(child, number)
        elif (status := _bury(child)) is not None:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _bury(child: int) -> int | None:
    """Wait for all who are dead; the child's status if it is among them."""
    status = None
    while True:
        try:
            pid, its = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            status = its


def _take_the_terminal() -> None:
    """A Ctrl-C is meant once: the terminal sends it to this process alone, and nobody passes it on."""
    os.setpgid(0, 0)
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # or who takes a terminal from the background is stopped
    try:
        with suppress(OSError):  # there is none
            os.tcsetpgrp(0, os.getpgrp())
    finally:
        signal.signal(signal.SIGTTOU, before)
