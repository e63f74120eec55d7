"""CPU per call-second, ours beside a bare trio-websocket loop. `python -m tests.bench` prints the table."""
