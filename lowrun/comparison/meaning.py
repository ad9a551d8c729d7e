"""Which calls of several runs are to count as the same one, though their texts differ. Pure.

A name that is another one in each run (a temporary file, a random number, a count of bytes) is seen by just that: of
the calls of one class and outcome, which differ in words with digits alone, several are in one run each. These
are taken for one call. What at least two runs agree on stays apart. Answers are treated the same way.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence

from lowrun.comparison.lexicon import Lexicon
from lowrun.comparison.trail import Trail

__all__ = ["Meaning"]

#: In the table of who has it: nobody, and more than one run; else the run's place + 1.
NOBODY, SEVERAL = 0, -1
#: Who has it does not matter: there are too many of its kind.
ANYBODY = -2


class Meaning:
    """By entry: what it means without its answer (`key`) and with it (`answer`); numbers of examples of such."""

    def __init__(self, lexicon: Lexicon, trails: Sequence[Trail]) -> None:
        count, keys = len(lexicon), len(lexicon.calls)
        entry_owner, key_owner = array("l", bytes(8 * count)), array("l", bytes(8 * keys))
        for place, trail in enumerate(trails, 1):
            for entry in trail.counts:
                key = lexicon.key_of[entry]
                for owner, number in ((entry_owner, entry), (key_owner, key)):
                    owner[number] = place if owner[number] in (NOBODY, place) else SEVERAL
        for key in range(keys):
            if lexicon.is_many(key):
                key_owner[key] = ANYBODY
        for entry, key in enumerate(lexicon.key_of):
            if lexicon.has_many_answers(key):
                entry_owner[entry] = ANYBODY
        same_key = _joined(key_owner, [(lexicon.class_of[key], lexicon.calls[key].outcome) for key in range(keys)])
        #: Entry -> key that stands for it.
        self.key = array("L", (same_key[key] for key in lexicon.key_of))
        #: Entry -> entry that stands for it.
        self.answer = array("L", _joined(entry_owner, list(self.key)))
        self.lexicon = lexicon


def _joined(owner: Sequence[int], kinds: Sequence[object]) -> list[int]:
    """Return for each number the one that stands for it: of those of a kind that one run each has, the first."""
    single: dict[object, list[int]] = defaultdict(list)
    for number, who in enumerate(owner):
        if who > NOBODY or who == ANYBODY:
            single[kinds[number]].append(number)
    meant = list(range(len(owner)))
    for numbers in single.values():
        if owner[numbers[0]] == ANYBODY or len({owner[number] for number in numbers}) > 1:
            for number in numbers:
                meant[number] = numbers[0]
    return meant
