"""Long steps along the flow of a chain, by an implicit method whose cost does not grow with them.

A stabilised method has about as many stages as the square root of a step's stiffness. Where a run
has fitted and only weight decay moves it, steps are a share of 1 / (eta lambda) long, and these
would be thousands. There the residual is a slave: it is what holds the outputs against the decay,
and as small as that. So a step of length h, implicit and exact in what only decays,

    D_j = rho_j^h D_j(0) - theta_j eta_j b_j f_{j-1}^T,      theta_j = (1 - rho_j^h) / -log rho_j,

b and f at its end, is solved for Psi = theta Phi, theta the largest of the theta_j: a number that
stays of the size of weights however small the residual is. Its equation is

    f_L - X - Psi / theta = 0,    d f_L / d Psi = -K,
    K = sum_j (theta_j eta_j / theta) c P_j R_j  x  f_{j-1}^T f_{j-1},

with P_j what leads from layer j to the outputs and c R_j what leads back from them: Newton's
iteration, by the K of the beginning, of (outputs r)^2 numbers. A linearly implicit method leaves
outputs wrong by the square of a movement, which is many times a small residual and then moves what
is slow (`jumps/euler.py`); here they are where they belong after each step. The steps' errors are
smooth in the share of a time that h is, and three divisions of h are extrapolated, their last Phi,
too, to which the outputs are brought at the end. So the error is of fourth order in that share.

What changes is thin until then, as in `merged.py`: M_j and N_j of the beginning are rho_j^t times
as large by any time t, and parts add factors of r columns to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dlnsweep.reduced.layers import Layers, Matrix

# A step is divided into so many parts, and what they give is added up with these weights, by which
# terms 1 / n and 1 / n^2 vanish. An undivided one would diverge where h is longest.
PARTS = (2, 3, 4)
WEIGHTS = (2.0, -9.0, 8.0)
# Newton's iteration ends with corrections below this share of Psi, or where outputs are right but
# for rounding; it takes one to three of them, and gives up after so many.
CONVERGED, ROUNDING, MOST = 1e-10, 1e-15, 60
# At the end outputs are right to this share, or the step has failed.
NEAR = 1e-12
# Of more outputs times samples no K is made.
LARGEST = 512


def advanced(
    layers: Layers,
    length: float,
    rates: Float[np.ndarray, " L"],
    weight_decay: float,
    data_fit_scale: float,
) -> tuple[list[Matrix], Float[np.ndarray, " L"]] | None:
    """Return the D_j and c_j a step later; None where the iteration does not converge.

    Args:
        layers: The chain where the step begins.
        length: h.
        rates: eta_j of the flow.
        weight_decay: lambda.
        data_fit_scale: c.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        step = _Step(layers, length, rates, weight_decay, data_fit_scale)
        ends = [step.divided(count) for count in PARTS]
        if any(end is None for end in ends):
            return None
        corrections = step.brought([end for end in ends if end is not None])
    scales = np.exp(-step.decays * length) * layers.scales
    return None if corrections is None else (corrections, scales)


class _Thin:
    """What has been added to a layer: D_j is by left right^T more than what it was at first.

    Attributes:
        left: Of the columns of b_j.
        right: Of those of f_{j-1}.
        up: G_j left.
        down: G_{j-1}^T right.
    """

    def __init__(self, left: Matrix, right: Matrix, up: Matrix, down: Matrix) -> None:
        self.left, self.right, self.up, self.down = left, right, up, down

    def and_(self, other: _Thin) -> _Thin:
        """Return both together."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Thin(*(np.hstack(pair) for pair in pairs))

    def times(self, factor: float) -> _Thin:
        """Return so many times as much."""
        return _Thin(factor * self.left, self.right, factor * self.up, self.down)


class _End(NamedTuple):
    """Where a divided step has ended.

    Attributes:
        added: To the D_j.
        phi: Phi.
    """

    added: list[_Thin]
    phi: Matrix


class _Step:
    """A step of a chain.

    Args:
        layers: See `advanced`.
        length: See there.
        rates: See there.
        weight_decay: See there.
        data_fit_scale: See there.

    Attributes:
        decays: -log rho_j.
    """

    def __init__(
        self,
        layers: Layers,
        length: float,
        rates: Float[np.ndarray, " L"],
        weight_decay: float,
        data_fit_scale: float,
    ) -> None:
        self._layers, self._length, self._rates = layers, length, rates
        self.decays = rates * weight_decay
        self._targets, self._fit = layers.targets, data_fit_scale
        self._straight = [layers.straight(j).T for j in range(len(rates))]
        self._backs = layers.backs
        self._none = [
            _Thin(*(np.zeros((size, 0)) for size in sizes))
            for sizes in zip(layers.outer, layers.inner, layers.above, layers.below, strict=True)
        ]
        kernel = self._kernel(self._thetas(length))
        # That of a middle division serves them all.
        kernel.ravel()[:: len(kernel) + 1] += 1 / np.max(
            self._thetas(length / float(np.mean(PARTS)))
        )
        self._inverse = np.linalg.inv(kernel)

    def _thetas(self, length: float) -> Float[np.ndarray, " L"]:
        decays = self.decays > 0
        own = np.where(decays, self.decays, 1.0)
        return np.where(decays, -np.expm1(-own * length) / own, length)

    def _forward(self, added: Sequence[_Thin], time: float) -> list[Matrix]:
        """Return f_0, ..., f_L after some steps."""
        values, faded = [np.diag(self._layers.inputs)], np.exp(-self.decays * time)
        for j, (matrix, thin) in enumerate(zip(self._straight, added, strict=True)):
            below = values[-1]
            values.append(faded[j] * (matrix @ below) + thin.up @ (thin.right.T @ below))
        return values

    def _backward(self, added: Sequence[_Thin], time: float, last: Matrix) -> list[Matrix]:
        """Return b_1, ..., b_L after some steps, given the last."""
        values, faded = [last], np.exp(-self.decays * time)
        for j in range(len(added) - 1, 0, -1):
            above, thin = values[0], added[j]
            straight = faded[j] * (self._backs[j - 1].T @ above)
            values.insert(0, straight + thin.down @ (thin.left.T @ above))
        return values

    def _kernel(self, thetas: Float[np.ndarray, " L"]) -> Matrix:
        """Return K of the beginning."""
        outputs, rank = self._targets.shape
        values = self._forward(self._none, 0.0)
        back = self._backward(self._none, 0.0, np.eye(outputs))
        factors = thetas / np.max(thetas) * self._rates * self._fit
        kernel, one = (np.zeros((outputs, rank, outputs, rank)) for _ in range(2))
        up, last = np.eye(outputs), len(factors) - 1
        for j in range(last, -1, -1):
            across = up if j == last else up @ self._layers.mixed[j]
            left, right = factors[j] * (across @ back[j]), values[j].T @ values[j]
            kernel += np.multiply(left[:, None, :, None], right[:, None, :], out=one)
            up = up @ self._straight[j]
        return kernel.reshape(outputs * rank, outputs * rank)

    def _more(
        self, back: list[Matrix], values: list[Matrix], factors: Float[np.ndarray, " L"]
    ) -> list[_Thin]:
        """Return -factor_j b_j f_{j-1}^T."""
        made, mixed = [], self._layers.mixed
        for j, (b, f) in enumerate(zip(back, values, strict=False)):
            left = -factors[j] * b
            up = mixed[j] @ left if j < len(mixed) else left
            made.append(_Thin(left, f, up, mixed[j - 1].T @ f if j else f[:0]))
        return made

    def _solved(self, right: Matrix) -> Matrix:
        return (self._inverse @ right.ravel()).reshape(right.shape)

    def divided(self, count: int) -> _End | None:
        """Return where the step ends by so many parts."""
        part = self._length / count
        thetas = self._thetas(part)
        theta = float(np.max(thetas))
        faded, factors = np.exp(-self.decays * part), thetas / theta * self._rates
        added = self._none
        values = self._forward(added, 0.0)
        psi = theta * (values[-1] - self._targets)
        for number in range(1, count + 1):
            back = self._backward(added, (number - 1) * part, self._fit * psi)
            rest = [thin.times(fade) for thin, fade in zip(added, faded, strict=True)]
            for _ in range(MOST):
                more = self._more(back, values, factors)
                added = [old.and_(new) for old, new in zip(rest, more, strict=True)]
                values = self._forward(added, number * part)
                apart = values[-1] - self._targets - psi / theta
                change = self._solved(apart)
                psi = psi + change
                back = self._backward(added, number * part, self._fit * psi)
                size, wrong = float(np.linalg.norm(change)), float(np.linalg.norm(apart))
                if size <= CONVERGED * float(np.linalg.norm(psi)):
                    break
                if wrong <= ROUNDING * float(np.linalg.norm(values[-1])):
                    break
                if not np.isfinite(size):
                    return None
            else:
                return None
            more = self._more(back, values, factors)
            added = [old.and_(new) for old, new in zip(rest, more, strict=True)]
            values = self._forward(added, number * part)
        return _End(added, psi / theta)

    def brought(self, ends: Sequence[_End]) -> list[Matrix] | None:
        """Return the D_j that are extrapolated, with outputs that are off the targets by Phi."""
        columns = zip(*(end.added for end in ends), strict=True)
        added = [
            reduce(_Thin.and_, (thin.times(w) for w, thin in zip(WEIGHTS, own, strict=True)))
            for own in columns
        ]
        phi = sum(weight * end.phi for weight, end in zip(WEIGHTS, ends, strict=True))
        wanted, thetas = self._targets + phi, self._thetas(self._length)
        factors = thetas / np.max(thetas) * self._rates
        size = float(np.linalg.norm(wanted))
        enough = CONVERGED * float(np.linalg.norm(phi)) + ROUNDING * size
        wrong = np.inf
        for _ in range(MOST):
            values = self._forward(added, self._length)
            apart = values[-1] - wanted
            before, wrong = wrong, float(np.linalg.norm(apart))
            # As near as rounding lets them.
            if not enough < wrong < before / 2:
                break
            back = self._backward(added, self._length, self._fit * self._solved(apart))
            more = self._more(back, values, factors)
            added = [old.and_(new) for old, new in zip(added, more, strict=True)]
        if not wrong <= NEAR * size:
            return None
        faded = np.exp(-self.decays * self._length)
        layers = zip(faded, self._layers.corrections, added, strict=True)
        return [fade * d + thin.left @ thin.right.T for fade, d, thin in layers]
