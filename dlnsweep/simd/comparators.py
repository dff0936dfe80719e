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
