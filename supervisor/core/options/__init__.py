"""Deepgram's query parameters and the URL they go into: checked before anything is dialled."""

from .checking import Checked, WrongOptions, check_options
from .spelling import options_from
from .url import check_url, hide_secrets, listen_url, options_of

__all__ = [
    "Checked",
    "WrongOptions",
    "check_options",
    "check_url",
    "hide_secrets",
    "listen_url",
    "options_from",
    "options_of",
]
