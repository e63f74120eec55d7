"""What the command line can do, one module for each command: `run(args, ...)` returns the exit code."""
