"""The core's models run the same histories each time: what fails here fails for everybody, and no run is slower by chance."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("core", deadline=None, derandomize=True)
settings.load_profile("core")
