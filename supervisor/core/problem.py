"""What a person can mend: one line that names the cause, and the way on; and the exit codes."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the process tells whoever started it (sysexits.h, where it has a word for it)."""

    OK = 0  # all heard audio was acknowledged, or withheld by order
    USAGE = 64  # the command line is wrong
    BAD_AUDIO = 65  # the input is not audio that can be decoded
    NO_INPUT = 66  # the input is not there
    GAVE_UP = 69  # the server could not be reached, or made no progress, for too long
    BUG = 70  # ours
    OUTPUT = 74  # the transcript could not be written
    UNDELIVERED = 75  # some audio was not delivered; the gaps say which
    DENIED = 77  # the key, the credit or the rights are missing: 401, 402, 403
    CONFIG = 78  # the config, or a request that the server will never accept


class Problem(Exception):
    """Ends what was asked for with one line: the cause, and the way on."""

    def __init__(self, cause: str, hint: str = "", exit_code: Exit = Exit.USAGE) -> None:
        super().__init__(cause, hint)
        self.cause = cause
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.cause}: {self.hint}" if self.hint else self.cause
