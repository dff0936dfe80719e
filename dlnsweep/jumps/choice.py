"""Which of both kinds of jump is made: plain, or one that follows the fast part (`euler.py`).

Following costs more and goes farther; by how much farther is known once it was tried. So each kind
has lengths of its own, and that is made by which the next recorded step is reached for less. The
one that is not made is tried again after so many of the other, as if it were twice as cheap to go
by; each time after twice as many.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.numerics.lazy import jnp

PLAIN, FOLLOWING = 0, 1
# So many jumps of a kind before the other is tried again at first, and how much cheaper it is hoped
# to be.
_PATIENCE = 8
_BETTER = 2.0


class Choice(NamedTuple):
    """What is known of both kinds; a pair has the plain one first.

    Attributes:
        lengths: What the next jump of a kind is to have.
        landings: That of the last one before a step that is recorded.
        kind: Which was tried last.
        alone: How many of it since the other.
        patience: After how many the other is tried.
        failed: Whether the last one was not made.
    """

    lengths: Float[Array, " 2"]
    landings: Float[Array, " 2"]
    kind: Int[Array, ""]
    alone: Int[Array, ""]
    patience: Int[Array, ""]
    failed: Bool[Array, ""]

    @property
    def _tries(self) -> Bool[Array, ""]:
        return self.alone >= self.patience

    def hoped(self, prices: Float[Array, " 2"]) -> Float[Array, " 2"]:
        """Return lengths; of a kind that is to be tried again what makes it worth its price."""
        other = 1 - self.kind
        worth = _BETTER * self.lengths[self.kind] * prices[other] / prices[self.kind]
        hoped = self.lengths.at[other].max(worth)
        return jnp.where(self._tries, hoped, self.lengths)

    def tried(
        self,
        kind: Int[Array, ""],
        lands: Bool[Array, ""],
        following: Float[Array, ""],
        made: Bool[Array, ""],
    ) -> Choice:
        """Return what is known after a jump of some kind, with the length of its next.

        Args:
            kind: Which it was.
            lands: Whether it ends, or was to end, at a recorded step.
            following: The length of the next one.
            made: Whether it was made.
        """
        other = kind != self.kind
        again = other & self._tries
        return Choice(
            jnp.where(lands, self.lengths, self.lengths.at[kind].set(following)),
            jnp.where(lands, self.landings.at[kind].set(following), self.landings),
            kind,
            jnp.where(other, 0, self.alone) + 1,
            jnp.where(again, 2 * self.patience, self.patience),
            ~made,
        )


def begun(dtype: jnp.dtype) -> Choice:
    """Return what is known at the beginning."""
    ones, whole = jnp.ones(2, dtype), jnp.int64
    none = jnp.zeros((), whole)
    return Choice(ones, ones, none, none, jnp.asarray(_PATIENCE, whole), jnp.zeros((), bool))
