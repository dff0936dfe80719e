"""Which batches one of several independent runners computes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dlnsweep.errors import SpecError

_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True)
class Shard:
    """One of several equal shares of a sweep's batches.

    A batch's number decides: it is part of the plan and stays when the sweep is enlarged. Batches
    that follow each other differ little in what they take, so they are dealt out in turn.

    Attributes:
        index: Which share, from 1.
        count: How many shares there are.
    """

    index: int
    count: int

    @classmethod
    def read(cls, text: str) -> Shard:
        """Read "i/n".

        Raises:
            SpecError: If it is not two whole numbers with 1 <= i <= n.
        """
        match = _SHARD.fullmatch(text)
        index, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= index <= count:
            raise SpecError(
                f"--shard is {text!r}; it must be i/n with whole numbers 1 <= i <= n, such as 1/8 "
                "for the first of eight shards."
            )
        return cls(index, count)

    def takes(self, number: int) -> bool:
        """Tell whether a batch belongs to this share."""
        return number % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
