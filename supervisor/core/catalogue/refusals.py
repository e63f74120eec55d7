"""The names and sentences with which Deepgram says why it refused a handshake.

They refine the advice for a status and never the verdict: the same name comes with more than one status, and newer
endpoints spell it differently (`error_code` or `category` for `err_code`, "Too Many Requests" for TOO_MANY_REQUESTS).
Source: Deepgram's page on errors, and refusals as users logged them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    name: str  # err_code
    statuses: tuple[str, ...]  # the HTTP statuses it comes with, the usual one first
    meaning: str
    check: str  # the first thing to look at


REFUSALS = {
    refusal.name: refusal
    for refusal in (
        Refusal(
            "INVALID_QUERY_PARAMETER",
            ("400",),
            "A query parameter could not be read, or does not go with the others.",
            "Look at the parameter that the message names, and correct that --option.",
        ),
        Refusal(
            "BAD_REQUEST",
            ("400",),
            "The request as a whole cannot be served; often no model fits it.",
            "Do model, version and language exist together, for live audio?",
        ),
        Refusal(
            "INVALID_AUTH",
            ("401",),
            "The credentials are not known to Deepgram.",
            "Is the key whole, and does it still exist?",
        ),
        Refusal(
            "INSUFFICIENT_PERMISSIONS",
            ("403", "401"),
            "The key is known, but has no right to this. With 403 it is mostly the model that the project may not "
            "use, with 401 the rights of the key's owner.",
            "May this key, and its project, use the model?",
        ),
        Refusal(
            "FORBIDDEN",
            ("403",),
            "The key's role is too low. Granting temporary tokens needs at least the role Member.",
            "Give the key a higher role, or use another key.",
        ),
        Refusal(
            "ASR_PAYMENT_REQUIRED",
            ("402",),
            "The project has not enough credit for transcription, and no agreement on overage.",
            "Add credit in Deepgram's console.",
        ),
        Refusal(
            "PROJECT_NOT_FOUND",
            ("404",),
            "The request names a project that does not exist, or that the key does not belong to.",
            "Is the URL that of live transcription? It names no project.",
        ),
        Refusal(
            "TOO_MANY_REQUESTS",
            ("429",),
            "The project has as many connections open as its plan allows.",
            "How many calls run at once with this project's keys?",
        ),
        Refusal(
            "SERVICE_UNAVAILABLE",
            ("503",),
            "Deepgram cannot serve the request at the moment.",
            "Look at https://status.deepgram.com for an incident.",
        ),
    )
}

# What a refusal's message says, and what to do about it. All of these come with status 400, but for the last.
MESSAGES = (
    ("no such model/version combination", "There is no such model in that version and language: check the three."),
    ("failed to deserialize query parameters", "A value has the wrong type: the message goes on with which."),
    ("keywords are not supported for nova-3", "Use keyterm in place of keywords, or a nova-2 model."),
    ("`keyterm` is only supported for", "Use a nova-3 model, or keywords in place of keyterm."),
    ("keyterm limit exceeded", "All keyterms together may have 500 tokens, about 100 terms: use fewer."),
    ("invalid callback url", "Leave callback out: results come over the connection itself."),
    ("does not have access to the requested model", "Choose another model, or have it enabled for the project."),
)


def refusal_of(err_code: str) -> Refusal | None:
    """What is known of an err_code, however it is spelt.

    >>> refusal_of("Too Many Requests").name, refusal_of("teapot")
    ('TOO_MANY_REQUESTS', None)
    """
    return REFUSALS.get(re.sub(r"[\s-]+", "_", err_code.strip()).upper())


def fix_for(message: str) -> str:
    """What to do about a refusal's message, or nothing.

    >>> fix_for("Keywords are not supported for Nova-3. Please use `keyterm` instead.")
    'Use keyterm in place of keywords, or a nova-2 model.'
    """
    lower = message.lower()
    return next((fix for fragment, fix in MESSAGES if fragment in lower), "")
