"""The edge of the process: the clock, the wire, and what a server may do to a connection."""
