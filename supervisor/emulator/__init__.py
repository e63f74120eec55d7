"""A server that speaks Deepgram's live protocol and misbehaves by a plan, with a count of its own of all that came.

It shares no code with the client's messages, for a codec that is tested against itself agrees with its own mistakes.
"""
