"""The emulator: what it hears, what it says and when, and how it misbehaves when told to."""
