"""From the bytes that a source gives to raw audio: a WAV header is read, anything else must have been declared.

What is declared must agree with what a header says. What only looks wrong (a container or text in audio declared raw,
a file that ends too early) is a warning: the source of most `DATA-0000` closures, and never a reason to lose audio.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import magic
from .audio import AudioFormat
from .plain import plain
from .problem import Exit, Problem
from .wav import HEAD, WavError, WavReader, may_begin


def ffmpeg(input: str = "FILE") -> str:  # noqa: A002 - it is what ffmpeg calls it
    """How to have anything decoded: the way on wherever a format is not ours to read."""
    return (
        "decode it, with --no-live --encoding linear16 --sample-rate 16000 and the source "
        f'"command:ffmpeg -i {input} -f s16le -ac 1 -ar 16000 -"'
    )


class Unreadable(Problem):
    """Neither raw audio that was declared, nor a WAV that can be passed on; `container` says what it may be."""

    def __init__(self, cause: str, hint: str, container: str = "") -> None:
        super().__init__(cause, hint, Exit.BAD_AUDIO)
        self.container = container


@dataclass(frozen=True, slots=True)
class Declared:
    """What was said about the audio before any of it came."""

    encoding: str | None = None
    sample_rate: int | None = None
    channels: int | None = None

    @property
    def format(self) -> AudioFormat | None:
        """What the audio is without a header, if enough was said."""
        if self.encoding is None or self.sample_rate is None:
            return None
        return AudioFormat(self.encoding, self.sample_rate, self.channels or 1)

    def check(self, name: str, found: AudioFormat) -> None:
        """Raises Problem where a header says something else."""
        for key, declared in (
            ("encoding", self.encoding),
            ("sample_rate", self.sample_rate),
            ("channels", self.channels),
        ):
            told = getattr(found, key)
            if declared not in (None, told):
                raise Problem(
                    f"{name} has a header that says {key.replace('_', ' ')} {told}, and {declared} was given",
                    "leave encoding, sample rate and channels to the header",
                )


class Unwrap:
    """Takes what a source gives in pieces of any size, and gives raw audio.

    `settled`: the format is needed before the first byte comes, so that a complete declaration counts from the start.

    >>> unwrap = Unwrap("stdin", Declared("mulaw", 8000))
    >>> unwrap.feed(b"RI"), unwrap.feed(b"ch"), unwrap.end()
    (b'', b'RIch', b'')
    """

    def __init__(self, name: str, declared: Declared, *, settled: bool = False, hint: str = "") -> None:
        self.name = plain(name)
        self.warnings: list[str] = []  # grows as audio passes
        self.format = declared.format if settled else None  # None until it is known
        self._declared = declared
        self._settled = settled
        self._hint = hint or ffmpeg()
        self._head = b""  # until it is known whether it is a WAV's; then, of raw audio, what text is looked for in
        self._wav: WavReader | None = None
        self._raw = False
        self._seam = b""
        self._suspected = False
        self._given = 0  # bytes of audio
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        """The audio in what comes next, perhaps none; raises Problem (Unreadable where another decoder may do)."""
        if self._wav is not None:
            return self._from_wav(self._wav, data)
        if self._raw:
            return self._as_raw(data)
        self._head += data
        if may_begin(self._head):
            if len(self._head) < HEAD:
                return b""
            self._wav = WavReader()
            return self._from_wav(self._wav, self._head)
        return self._begin_raw()

    def end(self) -> bytes:
        """The source has ended: the audio still held; raises Problem where there was none at all."""
        rest, ended, self._ended = b"", self._ended, True
        if ended:
            return rest
        if self._wav is None and not self._raw:
            if not self._head:
                raise Problem(f"{self.name} is empty", exit_code=Exit.BAD_AUDIO)
            rest = self._begin_raw()
        if self._wav is not None:
            self._end_wav(self._wav)
        else:
            self._judge()
        return rest

    def seconds(self, size: int) -> float:
        """Of audio in all, where the source is a file of so many bytes; to be asked once the format is known."""
        assert self.format is not None
        wav = self._wav.wav if self._wav else None
        stored = wav.data_bytes if wav and wav.data_bytes is not None else size
        return stored / (wav.frame_bytes if wav else self.format.frame_bytes) / self.format.sample_rate

    def _begin_raw(self) -> bytes:
        if self._declared.format is None:
            raise self._refusal()
        self.format = self._declared.format
        self._raw, head, self._head = True, self._head, b""
        return self._as_raw(head)

    def _refusal(self) -> Unreadable:
        name = magic.container(self._head)
        if name:
            return Unreadable(f"{self.name} is {name}, and not raw audio or a WAV", self._hint, name)
        if magic.is_text(self._head):
            words = plain(self._head.decode("utf-8", "ignore"), 40)
            return Unreadable(f"{self.name} is text, not audio: it begins with {words!r}", "check what writes it")
        hint = f"give its encoding and sample rate (--encoding, --sample-rate), or {self._hint}"
        return Unreadable(f"{self.name} has no header that says what audio it holds", hint)

    def _as_raw(self, data: bytes) -> bytes:
        self._given += len(data)
        if self._given - len(data) < magic.HEAD:
            self._head += data[: magic.HEAD]
            if self._given >= magic.HEAD:
                self._look()
        if not self._suspected:
            block = self._seam + data
            self._suspect(magic.inside(block))
            self._seam = block[-magic.OVERLAP :]
        return data

    def _look(self) -> None:
        """Judge raw audio by its first bytes."""
        self._suspect(magic.container(self._head))
        if magic.is_text(self._head):
            words = plain(self._head.decode("utf-8", "ignore"), 40)
            self.warnings.append(f"{self.name} was declared raw audio and looks like text: it begins with {words!r}")
        self._head = b""

    def _suspect(self, container: str) -> None:
        if container and not self._suspected:
            self._suspected = True
            self.warnings.append(f"{self.name} was declared raw audio and has the mark of {container} in it")

    def _judge(self) -> None:
        assert self.format is not None
        if self._given < magic.HEAD:
            self._look()
        self._warn_of_part(self._given % self.format.frame_bytes)

    def _from_wav(self, reader: WavReader, data: bytes) -> bytes:
        known = reader.wav is not None
        try:
            audio = reader.feed(data)
        except WavError as error:
            raise Unreadable(f"{self.name} {error}", self._hint, "WAV") from None
        if reader.wav is not None and not known:
            assumed = self.format if self._settled else None
            given = Declared(assumed.encoding, assumed.sample_rate, assumed.channels) if assumed else self._declared
            given.check(self.name, reader.wav.format)
            self.format = reader.wav.format
        return audio

    def _end_wav(self, reader: WavReader) -> None:
        if reader.wav is None:
            raise Problem(f"{self.name} is cut short inside its WAV header", exit_code=Exit.BAD_AUDIO)
        if reader.stored < reader.wav.frame_bytes:
            raise Problem(f"{self.name} is empty: a WAV header without audio", exit_code=Exit.BAD_AUDIO)
        if reader.missing:
            short = reader.missing / reader.wav.frame_bytes / reader.wav.format.sample_rate
            self.warnings.append(
                f"{self.name} is cut short, {short:.2f} s before the end that its WAV header announces"
            )
        follows = reader.after.lstrip(b"\0")[:4]
        if follows == b"RIFF" or not follows.isascii():
            what = "another WAV" if follows == b"RIFF" else "something that is no chunk of a WAV"
            self.warnings.append(f"{self.name} has {what} after its audio, which is not sent")
        self._warn_of_part(reader.stored % reader.wav.frame_bytes)

    def _warn_of_part(self, part: int) -> None:
        if part:
            self.warnings.append(f"{self.name} ends inside a sample frame: the last {part} bytes are dropped")
