"""What Deepgram's own names for a closure mean: DATA-0000, and NET-0000 to NET-0002.

The name outlives the close code it comes with (DATA-0000 came with 1002 in 2021 and comes with 1008 today), so it is
read before the code. Source: Deepgram's page on WebSocket, NET and DATA errors; NET-0002 is from its changelog of
2026-07-14.
"""

from __future__ import annotations

from ..closure import Verdict
from ..problem import Exit
from .entry import Entry, table

SUPPORT = "If it goes on, ask Deepgram Support, and give them the session's request_id (the header dg-request-id)."
STATUS_PAGE = "Look at https://status.deepgram.com for an incident."
AGAIN = "Opens another session after a random wait that grows, and sends it the audio that has no final result yet."

PAYLOADS = table(
    Entry(
        "DATA-0000",
        "the audio cannot be decoded",
        Verdict.ABORT,
        "What was sent is not audio, or is in a codec that Deepgram does not support. It comes with code 1008 (1002 "
        "in 2021). A session that was sent at least one second of audio and is told Metadata of duration 0 means the "
        "same.",
        "Ends the call: the same bytes would fail again. Where audio of this call had been transcribed before, it is "
        "retried, but at most twice in the same way.",
        (
            "Is the source valid audio? Play it with another program.",
            "Is it empty? A file without samples and a pipe whose writer has died hold no audio.",
            "Is it raw or in a container? Raw audio has no header and needs --encoding and --sample-rate. A WAV, "
            "FLAC, Ogg or MP3 is given as a file without them; declared raw, its header would be sent as sound.",
            "Write what is sent to a file with --save-sent FILE.wav, and play that. Noise means a wrong encoding; a "
            "voice too fast or too slow means a wrong sample rate.",
            "Are the encoding, the sample rate and the channels those of the audio? `ffprobe FILE` tells them.",
        ),
        Exit.BAD_AUDIO,
    ),
    Entry(
        "NET-0000",
        "Deepgram had nothing to say in time",
        Verdict.RETRY,
        "Deepgram sent no text frame for too long (20 to 30 s have been seen). Either something failed inside "
        "Deepgram, or it had too little audio to transcribe anything from. It comes with code 1011.",
        f"{AGAIN} When none of the call's audio was sent in the last 10 s, the next session is held open with silence "
        "and not with KeepAlive.",
        (
            "Once means nothing: it is an internal error of the server, and the retry is the cure.",
            STATUS_PAGE,
            "Does enough audio leave? Compare `sent` with `uptime` in session_closed.",
            f"Is Deepgram's status fine? {SUPPORT}",
        ),
    ),
    Entry(
        "NET-0001",
        "no audio and no text reached Deepgram in time",
        Verdict.RETRY,
        "Deepgram received neither a binary nor a text frame for about 10 s. The cause is on our side, in the network "
        "between, or inside Deepgram. It comes with code 1011.",
        f"{AGAIN} No session is opened before there is audio; pauses are bridged with KeepAlive, and after this "
        "closure with silence.",
        (
            "Does audio flow within 10 s of the opening? Look at what feeds the source: `last_audio_age` and "
            "`keepalives` in session_closed tell what was sent.",
            "Silence is audio too: a source with nothing to say may send silence and stays connected.",
            "KeepAlive every 3 to 5 s bridges a pause, but KeepAlive alone does not hold a session that never had "
            "audio.",
            "A program of your own: does it send CloseStream when it is done? Otherwise the server waits for more.",
            "Does audio leave your network? `tcpdump` or Wireshark shows it: look for traffic to port 443.",
            "Does the network reach Deepgram at all? Have curl request a transcript of one of Deepgram's sample "
            "recordings: then only the network and the key are tested.",
            SUPPORT,
        ),
    ),
    Entry(
        "NET-0002",
        "no audio in time, though the session was kept alive",
        Verdict.RETRY,
        "Messages such as KeepAlive arrived, but no audio for longer than Deepgram allows (the limit is not "
        "published). Newer servers say so; older ones closed with NET-0000. In text-to-speech the name means "
        "something else.",
        f"{AGAIN} After it a pause is bridged with silence and not with KeepAlive.",
        (
            "Is the source silent for minutes? Then `idle = \"silence\"` holds the session from the start.",
            "Is the source alive? Look at `last_audio_age` in session_closed and at what feeds the source.",
            "KeepAlive alone does not hold a session: some audio has to follow.",
            SUPPORT,
        ),
    ),
)

# The sentences these names came with. A server may leave the link out, and a paste may cut it off.
SENTENCES = (
    ("did not provide a response message", "NET-0000"),
    ("did not receive audio data or a text message", "NET-0001"),
    ("no_audio_timeout", "NET-0002"),
)
