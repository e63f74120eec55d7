"""Live call audio to Deepgram's speech-to-text, every second of it exactly once."""

__version__ = "0.1.0"
