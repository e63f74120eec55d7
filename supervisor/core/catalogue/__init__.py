"""How a session can end: one table, read by what retries and by what explains."""

from .entry import Entry
from .lookup import TABLE, advice, check_overrides, classify, entry_of, payload_named

__all__ = ["TABLE", "Entry", "advice", "check_overrides", "classify", "entry_of", "payload_named"]
