"""Which entries a network of comparisons compares, to sort any number of them.

Batcher's merge exchange (1968), as Knuth has it: The Art of Computer Programming, volume 3, section
5.2.2, algorithm M. Some n log(n)^2 / 4 comparisons, the same ones whatever the entries.
"""

from __future__ import annotations

from functools import cache


@cache
def comparators(count: int) -> tuple[tuple[int, int], ...]:
    """Return pairs of places, in this order: of each the larger entry comes to the second one.

    Args:
        count: The number of entries.
    """
    found: list[tuple[int, int]] = []
    top = 1 << max(0, (count - 1).bit_length() - 1)
    part = top if count > 1 else 0
    while part:
        step, rest, distance = top, 0, part
        while True:
            found += [(i, i + distance) for i in range(count - distance) if i & part == rest]
            if step == part:
                break
            distance, step, rest = step - part, step // 2, part
        part //= 2
    return tuple(found)


def num_comparators(count: int) -> int:
    """Return how many there are, without making them: some millions of 50 000 entries."""
    found, part = 0, 1
    while part < count:
        # In blocks of `part` entries: each first one of two is compared with the second, then each
        # second one with what lies 1, 3, 7, ... blocks behind it.
        found += _in_blocks(count - part, part, 0)
        distance = 2 * part
        while distance < count:
            found += _in_blocks(count - distance + part, part, 1)
            distance *= 2
        part *= 2
    return found


def _in_blocks(count: int, size: int, first: int) -> int:
    """Return how many of the numbers below `count` are in the first or second block of each two."""
    if count <= 0:
        return 0
    whole, rest = divmod(count, 2 * size)
    return whole * size + min(max(rest - first * size, 0), size)
