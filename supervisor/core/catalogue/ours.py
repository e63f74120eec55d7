"""What our own side saw when there is neither a status nor a close code: a dial that failed, a watchdog that ended it.

All of it is retried; what differs is where a person should look. The words of the closure's reason, which are the
operating system's or our own, choose the entry, so a wording that is not known costs no more than a general advice.
"""

from __future__ import annotations

import re

from ..closure import Closure, Verdict
from .entry import Entry, table
from .payloads import AGAIN, STATUS_PAGE

DIAL_AGAIN = "Dials again after a random wait that grows. Live audio is kept meanwhile."

OURS = table(
    Entry(
        "dns",
        "the server's name was not found",
        Verdict.RETRY,
        "The host's name has no address, or the name server did not answer.",
        DIAL_AGAIN,
        (
            "Is the host in the URL spelt right?",
            "Does `getent hosts HOST` find it on this machine, in this container?",
        ),
    ),
    Entry(
        "refused",
        "nothing listens there",
        Verdict.RETRY,
        "The machine was reached, and refused the connection on that port.",
        DIAL_AGAIN,
        ("Are the host and the port in the URL right?", "Does the server run? Does a firewall refuse the port?"),
    ),
    Entry(
        "tls",
        "the connection could not be secured",
        Verdict.RETRY,
        "TLS failed, most often because the server's certificate is not trusted, has expired or is for another name.",
        DIAL_AGAIN,
        (
            "Is the certificate from an authority of your own? Then name its file as the CA in the config.",
            "Does a proxy between open TLS connections? Then its certificate is the one to trust.",
            "Is this machine's clock right?",
            "Does the port speak TLS at all? For a server without it the URL begins with ws.",
        ),
    ),
    Entry(
        "proxy",
        "the proxy did not let us through",
        Verdict.RETRY,
        "The connection was to go through a proxy ($HTTPS_PROXY), which failed or refused.",
        DIAL_AGAIN,
        ("Are the proxy's address, name and password right?", "May it connect to the host and port of the URL?"),
    ),
    Entry(
        "upgrade",
        "the handshake was not answered",
        Verdict.RETRY,
        "The connection was there, but no whole answer to the request came in time: the server hung, hung up, or does "
        "not speak HTTP.",
        DIAL_AGAIN,
        (
            "Is the port that of a WebSocket server?",
            "Is there a load balancer without a live server behind it?",
            STATUS_PAGE,
        ),
    ),
    Entry(
        "key",
        "the key could not be read",
        Verdict.RETRY,
        "The key is read again for each dial, and this time there was none to be had.",
        "Reads it again after a random wait that grows. Live audio is kept meanwhile.",
        ("Is the key where the config says, and may this user read it?", "Does the command that prints it still work?"),
    ),
    Entry(
        "dial",
        "the server could not be reached",
        Verdict.RETRY,
        "No connection was made: the network, a firewall, or a server that does not answer.",
        DIAL_AGAIN,
        (
            "Has this machine a network? Can it reach the host of the URL, on its port?",
            "Does a firewall let connections out? wss goes to port 443.",
            STATUS_PAGE,
        ),
    ),
    Entry(
        "ping",
        "the server no longer answers",
        Verdict.RETRY,
        "A ping and everything after it stayed without an answer for 5 s, so the connection is taken for dead, though "
        "nobody had closed it.",
        AGAIN,
        (
            "Was the network lost? Such a break shows no error by itself.",
            "Does a NAT or a firewall forget connections? Then it comes after about the same time on each.",
        ),
    ),
    Entry(
        "results",
        "audio goes out and no results come back",
        Verdict.RETRY,
        "The connection lives, but the server sent no results for 8 s, fell more than 20 s of audio behind, or made none "
        "of 30 s of audio final.",
        AGAIN,
        (
            "Once means nothing: the server had stalled.",
            STATUS_PAGE,
            "With a server of your own: can it keep up with so many calls?",
        ),
    ),
    Entry(
        "stalled",
        "the network takes no more audio",
        Verdict.RETRY,
        "A frame could not be sent within 5 s: the server stopped reading, or the network is too slow or gone.",
        AGAIN,
        (
            "Is there bandwidth enough? 16 kHz linear16 needs 0.26 Mbit/s for each call and channel.",
            "Is the network lost for seconds at a time? Watch it with ping or mtr.",
        ),
    ),
    Entry(
        "patience",
        "CloseStream was not answered",
        Verdict.RETRY,
        "The server was asked to finish, and then was silent for longer than `patience`.",
        "Sends the audio that has no final result yet to another session, and asks again.",
        ("Is the server slow with its last results? Raise `patience`.", STATUS_PAGE),
    ),
    Entry(
        "ended",
        "ended by our own side",
        Verdict.RETRY,
        "One of our watchdogs gave up on the session.",
        AGAIN,
        ("What does the reason in session_closed say?",),
    ),
)

BEFORE_THE_UPGRADE = (
    (re.compile(r"\bproxy\b", re.IGNORECASE), "proxy"),
    (re.compile(r"name resolution|name or service|nodename|getaddrinfo|ENOTFOUND|EAI_AGAIN", re.IGNORECASE), "dns"),
    (re.compile(r"connection refused|ECONNREFUSED", re.IGNORECASE), "refused"),
    (re.compile(r"\bSSL|\bTLS|certificate", re.IGNORECASE), "tls"),
    (re.compile(r"\bupgrade|\bhung up|handshake", re.IGNORECASE), "upgrade"),
    (re.compile(r"\bdial(ling)?\b|unreachable|no route|ETIMEDOUT", re.IGNORECASE), "dial"),
)
AFTER_THE_UPGRADE = (
    (re.compile(r"\bp[io]ngs?\b", re.IGNORECASE), "ping"),
    (re.compile(r"\bno results\b|\bno finals?\b|\bresults (are|lag|stay)", re.IGNORECASE), "results"),
    (re.compile(r"\bnot (take|taken|taking)\b|stopped reading", re.IGNORECASE), "stalled"),
    (re.compile(r"\bCloseStream\b|\bpatience\b", re.IGNORECASE), "patience"),
)


def key_of(closure: Closure) -> str:
    """The entry for a closure that has neither a status nor a close code.

    >>> key_of(Closure(reason="[Errno 111] Connection refused")), key_of(Closure(reason="?", opened=True))
    ('refused', 'ended')
    """
    if closure.unkeyed:
        return "key"
    wordings, otherwise = (AFTER_THE_UPGRADE, "ended") if closure.opened else (BEFORE_THE_UPGRADE, "dial")
    return next((key for wording, key in wordings if wording.search(closure.reason)), otherwise)
