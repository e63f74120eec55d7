"""Who may dial now: the decisions that calls of one process share. Each policy has a file; `shared` has them all."""

from .notice import Notice
from .seam import Fleet, OpenFleet, Party
from .shared import SharedFleet

__all__ = ["Fleet", "Notice", "OpenFleet", "Party", "SharedFleet"]
