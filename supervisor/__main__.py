"""`python -m supervisor` and the command `stream-supervisor`."""

from __future__ import annotations

import importlib.util
import os
import sys

from .first import go_on_as_a_child


def main() -> int:
    """Run the command line of this process; returns the exit code."""
    if os.getpid() == 1:
        go_on_as_a_child()
    if importlib.util.find_spec("supervisor.supervisord") is not None:
        # Both own the import package `supervisor`: which files are whose is then a matter of luck.
        print(
            "stream-supervisor: supervisord is installed in this environment, and has the same import package: "
            "install stream-supervisor into a virtual environment of its own",
            file=sys.stderr,
        )
        return 78
    try:
        from .cli import run  # only now: with supervisord's files among ours it might not even be importable

        return run(sys.argv[1:])
    except KeyboardInterrupt:  # while it was still being imported
        return 130


if __name__ == "__main__":
    sys.exit(main())
