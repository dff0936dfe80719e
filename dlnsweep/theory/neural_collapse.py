"""How fast neural collapse goes on unconstrained features with weight decay (derived).

One layer W (C, k) on free features H (k, n), N samples of each of C classes, k >= C, no biases:

    F = l(W H, X) + (lambda / 2) (||W||^2 + ||H||^2)

with l = (c/2) ||W H - X||^2 or the mean cross-entropy. Near a minimiser, where W = a E, the class
means are b E^T (centred for cross-entropy), E has orthonormal rows and a = sqrt(N) b, the gradient
flow has these slow modes (time in units of eta times the step):

- What is off the minimiser's own row space: of a class mean h and its row w of W together
  d(h - w)/dt = -2 lambda (h - w), since the loss pulls each to the other with the strength lambda
  with which decay pulls both to 0; their sum is a turn of the minimiser. Within classes the loss
  does not pull at all: d(h_i - h)/dt = -lambda (h_i - h).
- In that space W - H^T, up to the factor, goes by exp(-2 lambda t) where it is symmetric, and is a
  turn where it is not.
- Deviations within classes in that space are driven by (W off it) times (deviations off it), which
  go by exp(-3 lambda t); by themselves they go by exp(-rho t),

      squared          rho = c sqrt(N)
      cross-entropy    rho = lambda (1 + z / C),  z = log((1 - (C - 1) q) / q),  q = lambda sqrt(N)

  with q a wrong class's probability at the minimiser, the least curvature of the loss in the
  logits, and z the difference of the logits (a b = z, q = lambda sqrt(N) since the gradients
  balance).
- Cross-entropy does not see the mean of W's rows, which goes by exp(-lambda t).

So NC1, a square of deviations within classes seen along the class means, goes by
exp(-min(6 lambda, 2 rho) t); NC2 by exp(-2 lambda t); NC3 by exp(-lambda t) for cross-entropy. On
squared loss without biases the class means are orthogonal, not a simplex, W is proportional to them
and not to what they are less their mean, and NC3 ends at sqrt(2 - 2 sqrt(1 - 1/C)).
"""

from __future__ import annotations

from math import log, sqrt

LOSSES = ("squared", "cross_entropy")


def collapse_rates(
    loss: str, decay: float, num_classes: int, samples_per_class: int, scale: float = 1.0
) -> tuple[float, float, float]:
    """Return the rates of NC1, NC2 and NC3, each value falling by exp(-rate eta t); see above.

    Args:
        loss: "squared" (a sum over samples) or "cross_entropy" (a mean).
        decay: lambda.
        num_classes: C.
        samples_per_class: N.
        scale: c, the factor on the loss; cross-entropy has 1.

    Returns:
        NaN for NC3 on squared loss, which does not go to 0; NaN for all where cross-entropy's
        minimiser is 0, the decay being too large.
    """
    if loss == "squared":
        return min(6 * decay, 2 * scale * sqrt(samples_per_class)), 2 * decay, float("nan")
    wrong = decay * sqrt(samples_per_class)
    if num_classes * wrong >= 1:
        return float("nan"), float("nan"), float("nan")
    logit = log((1 - (num_classes - 1) * wrong) / wrong)
    return min(6.0, 2 * (1 + logit / num_classes)) * decay, 2 * decay, decay


def nc3_limit(num_classes: int) -> float:
    """Return where NC3 ends on squared loss without biases: sqrt(2 - 2 sqrt(1 - 1/C))."""
    return sqrt(2 - 2 * sqrt(1 - 1 / num_classes))
