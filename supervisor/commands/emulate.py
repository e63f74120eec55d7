"""`emulate`: a server on this machine that speaks Deepgram's protocol, and misbehaves as it is told."""
