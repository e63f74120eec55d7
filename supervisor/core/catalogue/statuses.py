"""What it means when the opening handshake is answered with an HTTP status other than 101.

A refusal by Deepgram names its cause twice, in the header dg-error and in the body, and its session in the header
dg-request-id. 408, 411, 413, 414, 429, 499 and 5xx are those that Deepgram's page on errors calls transient.
"""

from __future__ import annotations

from ..closure import Verdict
from ..problem import Exit
from .entry import Entry, table
from .payloads import STATUS_PAGE, SUPPORT

ENDS = "Ends the call: the same request would be refused again."
AGAIN = (
    "Dials again after a random wait that grows, and not before Retry-After if the server named a time (up to 60 s). "
    "Live audio is kept meanwhile."
)
SAID = "Read dg_error and err_code in session_closed: they say what the server objected to."

STATUSES = table(
    Entry(
        "1xx",
        "an early answer instead of the upgrade",
        Verdict.RETRY,
        "A status below 200 that is not 101, such as 103 Early Hints, ends the handshake before the real answer came.",
        AGAIN,
        ("Is there a proxy or a content network between that sends early hints? Let it leave this path alone.",),
    ),
    Entry(
        "2xx",
        "an answer that is no WebSocket",
        Verdict.RETRY,
        "Something answered the request as if it were for a web page. A maintenance page or a captive portal goes "
        "away, so it is retried; a wrong path does not.",
        AGAIN,
        (
            "Is the URL's path that of live transcription, /v1/listen?",
            "Does the proxy or the load balancer pass the Upgrade header on?",
            "Is this network behind a login page? Open any web page and see.",
        ),
    ),
    Entry(
        "3xx",
        "sent elsewhere",
        Verdict.ABORT,
        "The server redirects to another address. A redirect is not followed: the key would go along.",
        ENDS,
        (
            "Is the address it names the right one? Then write it into the URL.",
            "Is the scheme wss? A redirect from ws to wss is the usual case.",
        ),
        Exit.CONFIG,
    ),
    Entry(
        "400",
        "the request is not valid",
        Verdict.ABORT,
        "A query parameter has a value or a companion that the server does not accept, or the model, its version and "
        "the language do not exist together.",
        ENDS,
        (
            SAID,
            "Does the model exist in this language and version, and for live audio?",
            "`stream-supervisor check` prints the options and the URL as they are sent.",
        ),
        Exit.CONFIG,
    ),
    Entry(
        "401",
        "the key is not accepted",
        Verdict.ABORT,
        "The credentials are missing, wrong, expired or revoked. A temporary token has to be valid at each dial.",
        "Reads the key once more, since it may have been changed, and dials again; refused again, the call ends.",
        (
            "Is the key in $DEEPGRAM_API_KEY, or where --api-key points, and is it whole, with no quotes or spaces?",
            "Does it still exist in Deepgram's console?",
            "Is it a key for this server? Deepgram's regions share keys; a self-hosted server has its own rules.",
            "Is it a temporary token? Have --api-key command:... fetch one for each dial.",
        ),
        Exit.DENIED,
    ),
    Entry(
        "402",
        "the project has no credit",
        Verdict.ABORT,
        "The project's balance is used up and no overage is agreed.",
        ENDS,
        ("Add credit or agree on overage in Deepgram's console.", "Is it the key of the project you mean?"),
        Exit.DENIED,
    ),
    Entry(
        "403",
        "the key may not do this",
        Verdict.ABORT,
        "The key is known, but its project or its role has no right to this, most often to the model.",
        ENDS,
        (
            SAID,
            "May this project use the model? A custom or a medical model may have to be enabled by Deepgram.",
            "Has the key a role that may transcribe (usage:write)?",
        ),
        Exit.DENIED,
    ),
    Entry(
        "404",
        "nothing at this address",
        Verdict.ABORT,
        "The path, or the project that the request names, does not exist on this server.",
        ENDS,
        ("Is the URL's path /v1/listen?", "Is the host one that transcribes? Agents and speech have their own.", SAID),
        Exit.CONFIG,
    ),
    Entry(
        "405",
        "not allowed here",
        Verdict.ABORT,
        "The address exists, but not for this: Deepgram answers so when a model does not transcribe live, such as "
        "Whisper.",
        ENDS,
        ("Is the model one for live audio, such as nova-3?", "Is the URL's path /v1/listen?"),
        Exit.CONFIG,
    ),
    Entry(
        "408",
        "the server waited too long",
        Verdict.RETRY,
        "The request did not reach the server in time.",
        AGAIN,
        ("Is the network slow, or the machine overloaded? Look at how long the dials take.", STATUS_PAGE),
    ),
    Entry(
        "411",
        "a length is wanted",
        Verdict.RETRY,
        "Something between expects a body, which an upgrade does not have.",
        AGAIN,
        ("Does a proxy between handle WebSocket upgrades?", SUPPORT),
    ),
    Entry(
        "413",
        "the request is too big",
        Verdict.RETRY,
        "The request is bigger than the server or a proxy takes.",
        AGAIN,
        ("Are there very many keyterms, keywords or searches? Fewer make the request smaller.", SUPPORT),
    ),
    Entry(
        "414",
        "the URL is too long",
        Verdict.RETRY,
        "The query is longer than the server or a proxy takes.",
        AGAIN,
        ("Are there very many keyterms, keywords or searches? They all go into the URL: use fewer.", SUPPORT),
    ),
    Entry(
        "425",
        "too early",
        Verdict.RETRY,
        "The server did not want to act on a request that might be a replay.",
        AGAIN,
        ("Nothing, unless it goes on: then ask who runs the proxy between.",),
    ),
    Entry(
        "429",
        "too many connections",
        Verdict.RETRY,
        "The project has as many connections open as its plan allows; it is connections that are counted, not "
        "requests. One that was dropped without a close may count for a little longer. A self-hosted server says so "
        "when it is full.",
        AGAIN,
        (
            "How many calls run at once, with this key and with others of the project? Compare with the plan's limit.",
            "Do other programs hold connections open that they no longer use?",
            "Set max_calls to the plan's limit, or have Deepgram raise it.",
        ),
    ),
    Entry(
        "499",
        "the request was given up",
        Verdict.RETRY,
        "A proxy noted that the client went away before the answer was there.",
        AGAIN,
        ("Are the answers slow? Look at how long the dials take.", STATUS_PAGE),
    ),
    Entry(
        "4xx",
        "refused for another reason",
        Verdict.ABORT,
        "The server finds fault with the request.",
        ENDS,
        (SAID, "Is there a proxy between, and is the refusal its own (407: it wants a password)?", SUPPORT),
    ),
    Entry(
        "500",
        "an error inside the server",
        Verdict.RETRY,
        "The server failed at the request.",
        AGAIN,
        (STATUS_PAGE, SUPPORT),
    ),
    Entry(
        "502",
        "a gateway got a bad answer",
        Verdict.RETRY,
        "A proxy or a load balancer could not reach the server behind it.",
        AGAIN,
        (STATUS_PAGE, "Is the proxy yours? Look at its log."),
    ),
    Entry(
        "503",
        "the service is not available",
        Verdict.RETRY,
        "The server is overloaded or under maintenance. Some self-hosted versions say so when they are full.",
        AGAIN,
        (STATUS_PAGE, "Self-hosted: are there enough engines for so many calls?", SUPPORT),
    ),
    Entry(
        "504",
        "a gateway waited too long",
        Verdict.RETRY,
        "A proxy or a load balancer got no answer in time from the server behind it.",
        AGAIN,
        (STATUS_PAGE, "Is the proxy yours? Look at its log and at its time limits."),
    ),
    Entry(
        "5xx",
        "another error of the server",
        Verdict.RETRY,
        "The server, or a gateway before it, failed at the request.",
        AGAIN,
        (SAID, STATUS_PAGE, SUPPORT),
    ),
)
