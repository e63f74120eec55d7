"""What a close code means when no payload says more (RFC 6455 7.4, and the IANA registry for 1012 to 1014).

1002, 1007 and 1009 are retried although their names sound final: our own side reports them too, when a frame arrives
broken. 1005, 1006 and 1015 are never on the wire; they say that something was missing there.
"""

from __future__ import annotations

from ..closure import Verdict
from .entry import Entry, table
from .payloads import AGAIN, STATUS_PAGE, SUPPORT

ENDS = "Ends the call: the same request would end in the same way."
REST = (
    "The call is complete if everything is final, or if Metadata came before it and at most 0.5 s of tail has no "
    "final. Otherwise the rest is sent to another session."
)

CODES = table(
    Entry(
        "1000",
        "closed politely, though nobody had asked",
        Verdict.RETRY,
        "The server ended the session as if it were done. An empty binary frame is read as a request to close; "
        "garbage instead of audio has led to it too.",
        f"{AGAIN} An empty frame cannot be sent by stream-supervisor.",
        (
            "Is there a program of your own or a proxy between? Does it send an empty frame? Before it sends, it must "
            "check that the chunk's length is not 0.",
            "Is what is sent audio? See DATA-0000, and write it to a file with --save-sent FILE.wav.",
            "Does something between close idle or long connections? Ask who runs the proxy or the load balancer.",
        ),
    ),
    Entry(
        "1000-asked",
        "closed politely, as we had asked",
        Verdict.RETRY,
        "After CloseStream the server finishes what it holds, sends the last results and a summary (Metadata), and "
        "closes with 1000.",
        REST,
        ("Nothing to do. If the end of a call is missing, look at its gaps and at `unfinished` in call_ended.",),
    ),
    Entry(
        "1001",
        "the server is going away",
        Verdict.RETRY,
        "A server or a proxy shuts down or moves on.",
        AGAIN,
        ("Once means nothing.", "Again and again: is a server of your own being restarted?", STATUS_PAGE),
    ),
    Entry(
        "1002",
        "protocol error",
        Verdict.RETRY,
        "One side found a frame that breaks the WebSocket protocol. Our own side says this too when what arrives is "
        "broken, so it is no verdict on the request.",
        AGAIN,
        (
            "Does a proxy between alter WebSocket traffic? Try without it.",
            "Is the URL that of a WebSocket server which speaks Deepgram's protocol?",
            "In 2021 Deepgram closed with 1002 for audio it could not decode: see DATA-0000.",
        ),
    ),
    Entry(
        "1003",
        "this kind of data is not accepted",
        Verdict.ABORT,
        "The server does not take what it was sent: binary where it wants text, or the reverse. It is the wrong kind "
        "of server, or the wrong path.",
        ENDS,
        (
            "Is the URL the one for live transcription, /v1/listen? Text-to-speech and voice agents have others.",
            "Does the server, if it is not Deepgram's, take raw audio in binary frames?",
        ),
    ),
    Entry(
        "1005",
        "closed without a code, though nobody had asked",
        Verdict.RETRY,
        "The server's close frame held no code. Deepgram's Flux ends so after CloseStream; here it had not been sent.",
        AGAIN,
        (
            "Is there a proxy between that closes idle or long connections?",
            "Does a server of your own close without a code when it restarts?",
            SUPPORT,
        ),
    ),
    Entry(
        "1005-asked",
        "closed without a code, as we had asked",
        Verdict.RETRY,
        "After CloseStream the server closed and named no code, as Deepgram's Flux does.",
        REST,
        ("Nothing to do. If the end of a call is missing, look at its gaps and at `unfinished` in call_ended.",),
    ),
    Entry(
        "1006",
        "the connection broke",
        Verdict.RETRY,
        "It ended without a close frame: a network failure, a proxy or a firewall, or a server that was killed. A "
        "browser reports every refused handshake as 1006, since it hides the status and the headers from the page.",
        AGAIN,
        (
            "Does it come after the same time on each session? Then something between has a time limit: raise the "
            "proxy's, the load balancer's or the NAT's.",
            "Does it come to all calls at once? Then it is the network, or the server. Watch one with ping or mtr.",
            "Is it in a browser? Try the same request outside it: the real status and dg-error are then to be seen.",
            STATUS_PAGE,
        ),
    ),
    Entry(
        "1007",
        "text that is not UTF-8",
        Verdict.RETRY,
        "A text frame was not valid UTF-8. Our own side says this of what the server or a proxy sent.",
        AGAIN,
        ("Does a proxy between alter WebSocket traffic? Try without it.", SUPPORT),
    ),
    Entry(
        "1008",
        "against the server's policy",
        Verdict.ABORT,
        "The server refuses to go on with this session. From Deepgram it means audio that cannot be decoded, and its "
        "payload then says DATA-0000. Other servers use it for rights and quotas.",
        ENDS,
        (
            "From Deepgram: go through the checks of DATA-0000, above all the encoding and the sample rate.",
            "From another server: may this key do this, and is a limit reached? Read the reason.",
            SUPPORT,
        ),
    ),
    Entry(
        "1009",
        "a message too big",
        Verdict.RETRY,
        "One side received a message bigger than it takes. Ours takes 1 MiB and says this of a bigger one; our own "
        "audio frames are a few kilobytes.",
        AGAIN,
        (
            "Which of the options makes results so big? Fewer `search` terms and `alternatives` make them smaller.",
            "Does a proxy between limit the size of a WebSocket message?",
        ),
    ),
    Entry(
        "1010",
        "a WebSocket extension is missing",
        Verdict.ABORT,
        "The close frame says that a needed extension was not agreed on. stream-supervisor asks for none.",
        ENDS,
        ("Is the URL the right one? Deepgram needs no extension; a proxy or another kind of server may.",),
    ),
    Entry(
        "1011",
        "an error inside the server",
        Verdict.RETRY,
        "The server met something it could not handle. Deepgram's payload tells more: NET-0000, NET-0001 or NET-0002.",
        AGAIN,
        (
            "Which payload came with it? `explain` has an entry for each.",
            STATUS_PAGE,
            SUPPORT,
        ),
    ),
    Entry(
        "1011-ping",
        "a ping was not answered",
        Verdict.RETRY,
        "'keepalive ping timeout' is the wording of a WebSocket library, not of Deepgram. Where it says `sent 1011`, "
        "the program that logged it gave up on its own connection: the network was gone, or the program too busy to "
        "read the answer. Where a server sends it, no answer of ours had reached it.",
        AGAIN,
        (
            "Is the machine overloaded, or does something block the program for seconds?",
            "Is the network lost for seconds at a time? Watch it with ping or mtr.",
        ),
    ),
    Entry(
        "1012",
        "the server restarts",
        Verdict.RETRY,
        "The service is being restarted, and may be there again in a moment.",
        AGAIN,
        ("Once means nothing.", "Again and again: is a server of your own restarting in a loop?", STATUS_PAGE),
    ),
    Entry(
        "1013",
        "try again later",
        Verdict.RETRY,
        "The server is overloaded and sheds connections.",
        AGAIN,
        ("Fewer calls at once, if you run the server.", STATUS_PAGE),
    ),
    Entry(
        "1014",
        "a gateway got a bad answer",
        Verdict.RETRY,
        "A proxy or a gateway could not get a valid answer from the server behind it.",
        AGAIN,
        ("Is the proxy or the load balancer yours? Look at its log, and at what is behind it.", STATUS_PAGE),
    ),
    Entry(
        "1015",
        "TLS failed",
        Verdict.RETRY,
        "The connection could not be secured, or lost its security. It is never sent, only reported by one's own side.",
        AGAIN,
        (
            "Is the server's certificate trusted here? See the entry tls.",
            "Does a proxy between open TLS connections to look inside?",
        ),
    ),
    Entry(
        "4xxx",
        "a code of the server's own",
        Verdict.RETRY,
        "Codes from 4000 to 4999 mean what the server's authors chose. Deepgram is not known to send any.",
        AGAIN,
        (
            "What does the documentation of the server say of this code, and what does the reason say?",
            "If it will never get better (wrong parameters, no rights), set its verdict to \"abort\" in the config.",
        ),
    ),
    Entry(
        "unknown",
        "anything else",
        Verdict.RETRY,
        "Nothing is known of this closure. What is not known to be permanent is retried.",
        AGAIN,
        (
            "What does the reason in session_closed say?",
            "If it will never get better, set its verdict to \"abort\" in the config.",
        ),
    ),
)
