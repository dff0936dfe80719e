"""How weights, multipliers and learning rates of an mlp go with its width. No JAX.

Layer l acts by a_l W_l, with a_l the multiplier; W_l begins as b_l times a matrix whose entries
have variance 1 / fan_in_l, and moves at the learning rate eta c_l. With k the hidden width, f the
fan-in of the layer:

                        a_l             b_l          c_l, gradient descent    c_l, Adam
    standard            1               1            1                        1
    ntk                 f^-1/2          f^1/2        1                        1
    mean_field          f^-1/2          f^1/2        k                        (not known)
      its last layer    f^-1/2 k^-1/2   f^1/2        k
    mup, first layer    1               1            k                        1
      middle layers     1               1            1                        1 / k
      last layer        1               k^-1/2       1 / k                    1 / k

Biases begin at zero and have no multiplier. Those of hidden layers move at eta k by mean_field and
by mup under gradient descent; all others, and that of the output, which has no width, at eta.

`ntk` is that of Jacot, Gabriel and Hongler 2018 (arXiv:1806.07572). `mean_field` is that of
Bordelon and Pehlevan 2022 (arXiv:2205.09653): ntk with the output divided by sqrt(k) and rates
times k; with one hidden layer it is (1/k) sum_j a_j phi(w_j . y / sqrt(m)) with a, w of size 1, as
in Mei, Montanari and Nguyen 2018 (arXiv:1804.06561). `mup` is Table 3 of Yang et al. 2022
(arXiv:2203.03466), in which only powers of the width are kept; under gradient descent its
functions are those of Yang and Hu 2021 (arXiv:2011.14522, Table 1) by the symmetry that multiplies
a_l by s, b_l by 1/s and c_l by 1/s^2, and those of mean_field, but for a constant factor m on the
first layer's rate. A single layer has no hidden width: k is 1.

Momentum and Nesterov scale with the gradient as gradient descent does. Of Adam and AdamW a step's
size does not depend on the gradient's (epsilon apart, which is not scaled here).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Optimizers whose step is proportional to the gradient, and those whose step does not know its
# size: of others no powers of the width are known here.
PROPORTIONAL = ("gradient_descent", "momentum", "nesterov")
NORMALIZED = ("adam", "adamw")


@dataclass(frozen=True)
class Scales:
    """The numbers of one layer.

    Attributes:
        multiplier: a_l.
        deviation: b_l.
        rate: c_l of its weights.
        bias_rate: That of its biases.
    """

    multiplier: float = 1.0
    deviation: float = 1.0
    rate: float = 1.0
    bias_rate: float = 1.0


def scales_of(name: str, dims: Sequence[int], optimizer: str = "gradient_descent") -> list[Scales]:
    """Return the numbers of each layer.

    Args:
        name: The parametrization.
        dims: The layer sizes m, k, ..., k, d.
        optimizer: The optimizer, which the learning rates go with.
    """
    layers, width = range(len(dims) - 1), dims[1] if len(dims) > 2 else 1
    if name == "standard":
        return [Scales() for _ in layers]
    if name == "mup":
        return [_mup(i, len(dims) - 1, width, optimizer in NORMALIZED) for i in layers]
    roots, last = [dims[i] ** 0.5 for i in layers], layers[-1]
    if name == "ntk":
        return [Scales(1 / root, root) for root in roots]
    found = []
    for i, root in enumerate(roots):
        divided = width**0.5 if i == last else 1.0
        found.append(Scales(1 / (root * divided), root, width, 1.0 if i == last else width))
    return found


def _mup(layer: int, depth: int, width: int, normalized: bool) -> Scales:
    """Return the numbers of one layer by Table 3 of arXiv:2203.03466."""
    if depth == 1:
        return Scales()
    if layer == depth - 1:
        return Scales(deviation=width**-0.5, rate=1 / width)
    if normalized:
        return Scales(rate=1.0 if layer == 0 else 1 / width)
    return Scales(rate=width if layer == 0 else 1.0, bias_rate=width)
