"""How fast neural collapse goes on unconstrained features with weight decay (derived).

One layer W (C, k) on free features H (k, n), N samples of each of C classes, no biases:

    F = l(W H, X) + (lambda / 2) (||W||^2 + ||H||^2)

with l = (c/2) ||W H - X||^2 or the mean cross-entropy, k >= C, or k >= C - 1 for cross-entropy.
Near a minimiser, where W = a E, the class means are b E^T (centred for cross-entropy), E has
orthonormal rows and a = sqrt(N) b, the gradient flow has these slow modes (time in units of eta
times the step):

- What is off the minimiser's own row space: of a class mean h and its row w of W together
  d(h - w)/dt = -2 lambda (h - w), since the loss pulls each to the other with the strength lambda
  with which decay pulls both to 0; their sum is a turn of the minimiser. Within classes the loss
  does not pull at all: d(h_i - h)/dt = -lambda (h_i - h).
- In that space W - H^T, up to the factor, goes by exp(-2 lambda t) where it is symmetric, and is a
  turn where it is not.
- There W = H^T, up to the factor, goes by exp(-2 kappa t) at least, kappa what the loss pulls with
  where its curvature is least:

      squared          kappa = c sqrt(N) - lambda
      cross-entropy    kappa = lambda z / C,  z = log(p / q),  q = lambda sqrt(N), p = 1 - (C - 1) q

  with p and q the probabilities of the right class and of a wrong one at the minimiser, and z the
  difference of their logits (a b = z, q = lambda sqrt(N) since the gradients balance). On
  cross-entropy these are the symmetric matrices whose diagonal and rows are 0, for C >= 4.
- On cross-entropy W = H^T of the kind P diag(v) P, P what centres and v centred, comes with the
  mean v of H's columns (for squared loss that mean is part of the former). Of unit parts of both
  the flow is the symmetric matrix, with g = (C p - 1) C / (C - 1),

      2 kappa (1 + g (1 - 2/C))            kappa g sqrt(2 (1 - 2/C) / C)
      kappa g sqrt(2 (1 - 2/C) / C)        lambda + kappa (1 + g / C)

- Deviations within classes in that space are driven by (W off it) times (deviations off it), which
  go by exp(-3 lambda t); by themselves they go by exp(-rho t), rho = lambda + kappa, but for C = 2,
  where no two classes are wrong and the curvature is 2 p q and not q: rho = lambda + 2 p kappa.
- Cross-entropy does not see the mean of W's rows, which goes by exp(-lambda t). Its gradient in the
  logits is not symmetric where these are: to second order W = H^T makes W and H^T differ.

So NC1, a square of deviations within classes seen along the class means, goes by
exp(-min(6 lambda, 2 rho) t); NC2 by exp(-r t), r the least of 2 lambda, 2 kappa and the smaller
eigenvalue of that matrix (of two classes NC2 is 0); NC3 for cross-entropy by
exp(-min(lambda, 2 r) t). On squared loss without biases the class means are orthogonal, not a
simplex, W is proportional to them and not to what they are less their mean, and NC3 ends at
sqrt(2 - 2 sqrt(1 - 1/C)).
"""

from __future__ import annotations

from math import hypot, log, nan, sqrt

LOSSES = ("squared", "cross_entropy")


def least_width(loss: str, num_classes: int) -> int:
    """Return the least k with room for the minimiser: C, or C - 1 where only differences count."""
    return num_classes - (loss == "cross_entropy")


def collapse_rates(
    loss: str, decay: float, num_classes: int, samples_per_class: int, scale: float = 1.0
) -> tuple[float, float, float]:
    """Return the rates of NC1, NC2 and NC3, each value falling by exp(-rate eta t); see above.

    Args:
        loss: "squared" (a sum over samples) or "cross_entropy" (a mean).
        decay: lambda.
        num_classes: C; features have at least `least_width` coordinates.
        samples_per_class: N.
        scale: c, the factor on the loss; cross-entropy has 1.

    Returns:
        NaN for NC3 on squared loss, which does not go to 0, and for NC2 of two classes, which is 0;
        NaN for all where the minimiser is 0, the decay being too large.
    """
    if loss == "squared":
        pull = scale * sqrt(samples_per_class) - decay
        if pull <= 0:
            return nan, nan, nan
        return min(6 * decay, 2 * (decay + pull)), 2 * min(decay, pull), nan
    wrong = decay * sqrt(samples_per_class)
    if num_classes * wrong >= 1:
        return nan, nan, nan
    right = 1 - (num_classes - 1) * wrong
    pull = decay * log(right / wrong) / num_classes
    if num_classes == 2:
        return min(6 * decay, 2 * (decay + 2 * right * pull)), nan, decay
    slow = _with_the_mean(decay, pull, num_classes, right)
    if num_classes > 3:
        slow = min(slow, 2 * pull)
    return min(6 * decay, 2 * (decay + pull)), min(2 * decay, slow), min(decay, 2 * slow)


def _with_the_mean(decay: float, pull: float, num_classes: int, right: float) -> float:
    """Return the smaller eigenvalue of the matrix of P diag(v) P and the mean of H's columns."""
    steeper = (num_classes * right - 1) * num_classes / (num_classes - 1)
    share = 1 - 2 / num_classes
    own = 2 * pull * (1 + steeper * share)
    mean = decay + pull * (1 + steeper / num_classes)
    both = pull * steeper * sqrt(2 * share / num_classes)
    return (own + mean) / 2 - hypot((own - mean) / 2, both)


def nc3_limit(num_classes: int) -> float:
    """Return where NC3 ends on squared loss without biases: sqrt(2 - 2 sqrt(1 - 1/C))."""
    return sqrt(2 - 2 * sqrt(1 - 1 / num_classes))
