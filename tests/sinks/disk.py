"""A disk that does as it is told: it writes so many bytes, then fails so often, and so on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable


class Disk:
    """In place of os.write. `script`: bytes that are taken before each failure, and its errno; then all is well."""

    def __init__(self, script: Iterable[tuple[int, int]] = (), *, piece: int = 1 << 30) -> None:
        self._script = list(script)
        self._piece = piece

    def __call__(self, fd: int, data: memoryview) -> int:
        if not self._script:
            return os.write(fd, data[: self._piece])
        takes, failure = self._script[0]
        if takes == 0:
            self._script.pop(0)
            raise OSError(failure, os.strerror(failure))
        done = os.write(fd, data[: min(takes, self._piece)])
        self._script[0] = (takes - done, failure)
        return done


class FullDisk(Disk):
    """No space, until somebody says that there is."""

    def __init__(self, failure: int = errno.ENOSPC) -> None:
        super().__init__()
        self.failure: int | None = failure

    def __call__(self, fd: int, data: memoryview) -> int:
        if self.failure is not None:
            raise OSError(self.failure, os.strerror(self.failure))
        return super().__call__(fd, data)
