"""Threads of two runs that are the same ones, and their calls side by side. Pure.

Threads are matched by their place in the process tree: the first one of a run is that of the other; of the children
of two matched threads those that executed the same command go together, in the order in which they were made, and
what is left over in that order too. So children that race each other are matched by what they are.

Calls are aligned as patience diff does it (Bram Cohen): what stands on both sides exactly once are anchors, the
longest row of them that is in order on both sides holds, and between two anchors it begins anew. Small rests without
anchors get a longest common subsequence (Hyyrö 2004: the dynamic programme's rows as bits of one integer).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

from lowrun.comparison.trail import Thread, Trail

__all__ = ["align", "common", "matched_threads"]

#: Cells of the dynamic programme; larger rests without anchors stay unaligned.
CELLS = 4_000_000


def matched_threads(a: Trail, b: Trail, meaning: Callable[[int], int]) -> dict[int, int]:
    """Return numbers of threads of `a` -> those of `b`; `meaning` makes executed commands comparable."""
    pairs: dict[int, int] = {}
    todo = _pairs(_roots(a), _roots(b), meaning)
    while todo:
        left, right = todo.pop()
        pairs[left.number] = right.number
        todo += _pairs(left.children, right.children, meaning)
    return pairs


def _roots(trail: Trail) -> list[Thread]:
    return [thread for thread in trail.threads if thread.parent is None]


def _pairs(
    left: Sequence[Thread], right: Sequence[Thread], meaning: Callable[[int], int]
) -> list[tuple[Thread, Thread]]:
    waiting: dict[int, list[Thread]] = defaultdict(list)
    for thread in right:
        waiting[-1 if thread.first is None else meaning(thread.first)].append(thread)
    found, rest = [], []
    for thread in left:
        same = waiting[-1 if thread.first is None else meaning(thread.first)]
        if same:
            found.append((thread, same.pop(0)))
        else:
            rest.append(thread)
    left_over = sorted((thread for same in waiting.values() for thread in same), key=lambda one: one.number)
    return found + list(zip(rest, left_over, strict=False))


def align(a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Return for each place in `a` its partner's place in `b`, -1 where it has none; partners are in order."""
    partners = [-1] * len(a)
    todo = [(0, len(a), 0, len(b))]
    while todo:
        low, high, other, end = todo.pop()
        while low < high and other < end and a[low] == b[other]:
            partners[low] = other
            low, other = low + 1, other + 1
        while low < high and other < end and a[high - 1] == b[end - 1]:
            high, end = high - 1, end - 1
            partners[high] = end
        if low == high or other == end:
            continue
        anchors = _anchors(a, low, high, b, other, end)
        if anchors:
            for here, there in (*anchors, (high, end)):
                todo.append((low, here, other, there))
                low, other = here, there
                if here < high:
                    partners[here] = there
                    low, other = here + 1, there + 1
        elif (high - low) * (end - other) <= CELLS:
            for here, there in common(a[low:high], b[other:end]):
                partners[low + here] = other + there
    return partners


def _anchors(a: Sequence[int], low: int, high: int, b: Sequence[int], other: int, end: int) -> list[tuple[int, int]]:
    """Return the longest row, in order on both sides, of what is once in each."""
    here, there = _once(a, low, high), _once(b, other, end)
    pairs = sorted((place, there[key]) for key, place in here.items() if key in there)
    tails: list[int] = []
    heads: list[int] = []
    before = [-1] * len(pairs)
    for number, (_, place) in enumerate(pairs):
        at = bisect_left(tails, place)
        before[number] = heads[at - 1] if at else -1
        tails[at : at + 1] = [place]
        heads[at : at + 1] = [number]
    row = []
    number = heads[-1] if heads else -1
    while number >= 0:
        row.append(pairs[number])
        number = before[number]
    return row[::-1]


def _once(keys: Sequence[int], low: int, high: int) -> dict[int, int]:
    places: dict[int, int] = {}
    again = set()
    for place in range(low, high):
        key = keys[place]
        if key in places:
            again.add(key)
        places[key] = place
    for key in again:
        del places[key]
    return places


def common(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return the pairs of places of a longest common subsequence.

    Row by row of the dynamic programme, a row being the bits of one integer (Hyyrö, "Bit-parallel LCS-length
    computation revisited", 2004): bit j of row i is clear where b[:j + 1] has one more in common with a[:i] than b[:j].
    """
    matches: dict[Hashable, int] = defaultdict(int)
    for place, key in enumerate(b):
        matches[key] |= 1 << place
    everything = (1 << len(b)) - 1
    rows = [everything]
    for key in a:
        row = rows[-1]
        hits = row & matches.get(key, 0)
        rows.append(((row + hits) | (row - hits)) & everything)
    pairs = []
    i, j = len(a), len(b)
    while i and j:
        if rows[i] >> (j - 1) & 1:
            j -= 1
        elif not rows[i - 1] >> (j - 1) & 1:
            i -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]
