"""What the demo claims, held against what happened; each claim is a line, and each that does not hold a difference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from ..emulator.proof import CallProof, total
from ..events import CallEnded, Word
from .material import Material
from .material import Word as Known

LATITUDE = 0.2  # seconds that a recogniser may put a word elsewhere when it begins to listen elsewhere


@dataclass(slots=True)
class Outcome:
    """`lines` say what was measured, `differences` what should not be so."""

    lines: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def check(self, holds: bool, difference: str) -> None:
        if not holds:
            self.differences.append(difference)


def outcome(material: Material, words: Sequence[Word], ended: CallEnded, proof: CallProof) -> Outcome:
    """Compare a run with what was spoken, its ledger with itself, and both with the emulator's count."""
    result = Outcome()
    _words(result, material.words, words)
    _ledger(result, material, ended)
    _emulator(result, material, ended, proof)
    return result


def _words(result: Outcome, known: Sequence[Known], words: Sequence[Word]) -> None:
    spoken, delivered = [each.word for each in known], [each.word for each in words]
    if spoken == delivered:
        result.lines.append(f"words       {len(spoken)} of {len(spoken)}, in order, none twice")
        apart = max(
            (max(abs(one.start - two.start), abs(one.end - two.end)) for one, two in zip(known, words, strict=True)),
            default=0.0,
        )
        result.lines.append(f"timestamps  at most {apart:.2f} s from those of a run that nobody disturbed")
        result.check(apart <= LATITUDE, f"a word is {apart:.2f} s from where it was spoken")
        return
    changes = list(_changes(spoken, delivered))
    right = sum(block.size for block in SequenceMatcher(None, spoken, delivered, autojunk=False).get_matching_blocks())
    result.lines.append(f"words       {right} of {len(spoken)}")
    result.differences += changes


def _changes(spoken: Sequence[str], delivered: Sequence[str]) -> Iterable[str]:
    for kind, i, j, k, m in SequenceMatcher(None, spoken, delivered, autojunk=False).get_opcodes():
        was, came = " ".join(spoken[i:j]), " ".join(delivered[k:m])
        match kind:
            case "replace":
                yield f'"{was}" was delivered as "{came}"'
            case "delete":
                yield f'"{was}" was lost'
            case "insert":
                yield f'"{came}" was delivered and not spoken, or delivered twice'


def _ledger(result: Outcome, material: Material, ended: CallEnded) -> None:
    audio = ended.audio
    parts = (audio.acknowledged_frames, audio.lost_frames, audio.withheld_frames, audio.unfinished_frames)
    result.lines.append(
        "ledger      heard {:,} = acknowledged {:,} + lost {:,} + withheld {:,} + unfinished {:,} sample frames".format(
            audio.heard_frames, *parts
        )
    )
    result.check(ended.outcome == "complete", f"the call came out as {ended.outcome}")
    result.check(audio.heard_frames == sum(parts), "the ledger does not add up")
    result.check(audio.heard_frames == material.frames, f"{material.frames:,} sample frames were played")
    result.check(audio.acknowledged_frames == audio.heard_frames, "not all that was heard is acknowledged")


def _emulator(result: Outcome, material: Material, ended: CallEnded, proof: CallProof) -> None:
    audio, frames = ended.audio, material.frames
    came, final = total(proof.received), total(proof.final())
    sent = audio.heard_frames + audio.replayed_frames
    result.lines.append(
        f"emulator    {came:,} of {frames:,} sample frames came and {final:,} became final, by its own count"
    )
    result.lines.append(
        f"            {proof.received_frames - came:,} came once more; of {sent:,} sent, "
        f"{sent - proof.received_frames:,} were on their way when a connection died"
    )
    result.check(came == frames, f"{frames - came:,} sample frames never came to the emulator")
    result.check(not proof.not_final(frames), f"not final for the emulator: {proof.not_final(frames)}")
    result.check(sent >= proof.received_frames, "the emulator has more than the ledger knows to be sent")
    result.check(not proof.foreign_frames, f"{proof.foreign_frames:,} sample frames were not of the call")
    result.check(not proof.out_of_order and not proof.skipped, "the emulator had audio out of order")
    result.check(proof.silent_frames <= audio.injected_frames, "the emulator had silence that nobody injected")
    result.check(proof.zero_length == 0, f"{proof.zero_length} empty messages were sent")
