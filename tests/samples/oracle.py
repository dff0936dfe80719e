"""Deep linear networks in plain NumPy float64: transcriptions that share no code with dlnsweep.

Everything works on all n samples and on the full matrices; nothing is reduced, delayed or
rescaled. Equation numbers are those of arXiv:2502.15522.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Weights = list[np.ndarray]


def product(weights: Weights) -> np.ndarray:
    """W_L ... W_1."""
    result = np.eye(weights[0].shape[1])
    for weight in weights:
        result = weight @ result
    return result


def residual(weights: Weights, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """W_{L:1} Y - X, applied layer after layer."""
    output = y
    for weight in weights:
        output = weight @ output
    return output - x


def loss(weights: Weights, x: np.ndarray, y: np.ndarray, decay: float, fit: float) -> float:
    """Equation (4), with the factor `fit` on half the squared error."""
    squares = sum(float(np.sum(w * w)) for w in weights)
    return 0.5 * fit * float(np.sum(residual(weights, x, y) ** 2)) + 0.5 * decay * squares


def gradients(weights: Weights, x: np.ndarray, y: np.ndarray, decay: float, fit: float) -> Weights:
    """Gradient of `loss` in each W_i: c W_{L:i+1}^T Phi Y^T W_{i-1:1}^T + lambda W_i."""
    depth = len(weights)
    phi = residual(weights, x, y)
    found = []
    for i in range(depth):
        left = phi
        for weight in reversed(weights[i + 1 :]):
            left = weight.T @ left
        right = y
        for weight in weights[:i]:
            right = weight @ right
        found.append(fit * (left @ right.T) + decay * weights[i])
    return found


@dataclass
class Descent:
    """An optimizer in its textbook form: `step` returns the next weights.

    eta_i is `learning_rate`, or `learning_rate` / (columns of W_i) under "fan_in".
    """

    name: str = "gradient_descent"
    learning_rate: float = 0.01
    weight_decay: float = 0.0
    step_rule: str = "uniform"
    data_fit_scale: float = 1.0
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    rmsprop_decay: float = 0.9
    memory: dict = field(default_factory=dict)
    count: int = 0

    def step(self, weights: Weights, x: np.ndarray, y: np.ndarray) -> Weights:
        self.count += 1
        # Loshchilov & Hutter 2019: AdamW's gradient is that of the data fit alone.
        decay = 0.0 if self.name == "adamw" else self.weight_decay
        grads = gradients(weights, x, y, decay, self.data_fit_scale)
        new = []
        for i, (weight, gradient) in enumerate(zip(weights, grads, strict=True)):
            eta = self.learning_rate
            if self.step_rule == "fan_in":
                eta = eta / weight.shape[1]
            new.append(weight - eta * self.direction(i, weight, gradient))
        return new

    def direction(self, i: int, weight: np.ndarray, g: np.ndarray) -> np.ndarray:
        zero = np.zeros_like(g)
        if self.name == "gradient_descent":
            return g
        if self.name in ("momentum", "nesterov"):
            # Sutskever et al. 2013: v <- mu v + g; Nesterov looks ahead by g + mu v.
            v = self.memory[i] = self.momentum * self.memory.get(i, zero) + g
            return g + self.momentum * v if self.name == "nesterov" else v
        if self.name == "rmsprop":
            # Tieleman & Hinton 2012.
            v = self.rmsprop_decay * self.memory.get(i, zero) + (1 - self.rmsprop_decay) * g * g
            self.memory[i] = v
            return g / (np.sqrt(v) + self.epsilon)
        # Kingma & Ba 2015, algorithm 1.
        m, v = self.memory.get(i, (zero, zero))
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        self.memory[i] = (m, v)
        m_hat = m / (1 - self.beta1**self.count)
        v_hat = v / (1 - self.beta2**self.count)
        update = m_hat / (np.sqrt(v_hat) + self.epsilon)
        return update + self.weight_decay * weight if self.name == "adamw" else update


@dataclass
class Path:
    """The weights at the recorded steps, and the first step that had diverged."""

    weights: dict[int, Weights]
    last: Weights
    diverged_step: int | None


def descend(
    weights: Weights,
    x: np.ndarray,
    y: np.ndarray,
    descent: Descent,
    steps: list[int],
    factor: float = 1e6,
) -> Path:
    """Take max(steps) steps and keep the weights at `steps`.

    Diverged: the error, in Frobenius norm, is not finite (nor its square) or beyond `factor` times
    the larger of that at step 0 and of that of the zero matrix.
    """
    weights = [np.array(w, dtype=np.float64) for w in weights]
    kept: dict[int, Weights] = {}
    most = factor * max(np.linalg.norm(residual(weights, x, y)), np.linalg.norm(x))
    with np.errstate(over="ignore", invalid="ignore"):
        for now in range(max(steps) + 1):
            error = np.linalg.norm(residual(weights, x, y))
            if not np.isfinite(error**2) or error > most:
                return Path(kept, weights, now)
            if now in steps:
                kept[now] = weights
            if now < max(steps):
                weights = descent.step(weights, x, y)
    return Path(kept, weights, None)


def range_projector(y: np.ndarray) -> np.ndarray:
    """The orthogonal projector onto range(Y)."""
    left, values, _ = np.linalg.svd(y, full_matrices=False)
    basis = left[:, values > 1e-10 * values[0]]
    return basis @ basis.T


def off_projector(y: np.ndarray) -> np.ndarray:
    """The orthogonal projector onto the complement of range(Y)."""
    return np.eye(y.shape[0]) - range_projector(y)


def curvature(weights: Weights, y: np.ndarray, fit: float, step_rule: str) -> float:
    """A bound on the largest curvature at a fitted network: sum of squared layer gains."""
    total = 0.0
    for i, weight in enumerate(weights):
        left = np.eye(weights[-1].shape[0])
        for upper in reversed(weights[i + 1 :]):
            left = left @ upper
        right = y
        for lower in weights[:i]:
            right = lower @ right
        gain = np.linalg.norm(left, 2) ** 2 * np.linalg.norm(right, 2) ** 2
        total += gain / (weight.shape[1] if step_rule == "fan_in" else 1)
    return float(fit * total)


@dataclass
class State:
    """A network with its data and numbers, as the observables below see it."""

    weights: Weights
    x: np.ndarray
    y: np.ndarray
    weight_decay: float = 0.0
    data_fit_scale: float = 1.0
    rank_threshold: float = 1e-3
    learning_rate: float = 0.0
    step: int = 0
    initial: Weights | None = None


def _unbalancedness(state: State, order: Any) -> float:
    pairs = zip(state.weights, state.weights[1:], strict=False)
    return max((float(np.linalg.norm(b.T @ b - a @ a.T, order)) for a, b in pairs), default=0.0)


def _spectrum(state: State) -> np.ndarray:
    return np.linalg.svd(product(state.weights), compute_uv=False)


def _effective_rank(state: State) -> float:
    shares = _spectrum(state) / np.sum(_spectrum(state))
    entropy = 0.0
    for share in shares:
        if share > 0:
            entropy -= share * np.log(share)
    return float(np.exp(entropy))


def _oracle_distance(state: State) -> float:
    oracle = state.x @ np.linalg.pinv(state.y, rcond=1e-10)
    return float(np.linalg.norm(product(state.weights) - oracle) / np.linalg.norm(oracle))


def _gradient_norm(state: State) -> float:
    grads = gradients(state.weights, state.x, state.y, state.weight_decay, state.data_fit_scale)
    return float(np.sqrt(sum(np.sum(g * g) for g in grads)))


def _upper(state: State, pick: str) -> float:
    """The d-th or first singular value of W_{L:i}, over i = 2, ..., L."""
    d = state.x.shape[0]
    found = []
    for i in range(1, len(state.weights)):
        values = np.zeros(d)
        spectrum = np.linalg.svd(product(state.weights[i:]), compute_uv=False)
        values[: len(spectrum)] = spectrum[:d]
        found.append(values)
    if not found:
        return 1.0
    return min(v[-1] for v in found) if pick == "min" else max(v[0] for v in found)


def _lower(state: State, pick: str) -> float:
    """Singular values of sqrt(m / d_i) W_{i:1} Y beside those of X on the rows of Y."""
    rank = np.linalg.matrix_rank(state.y, 1e-10 * np.linalg.norm(state.y, 2))
    on_rows = state.x @ np.linalg.pinv(state.y, rcond=1e-10) @ state.y
    own = np.linalg.svd(on_rows, compute_uv=False)
    found = [1.0] if len(state.weights) == 1 else []
    for i in range(1, len(state.weights)):
        partial = product(state.weights[:i])
        scale = np.sqrt(partial.shape[1] / partial.shape[0])
        values = scale * np.linalg.svd(partial @ state.y, compute_uv=False)
        found.append(values[rank - 1] / own[rank - 1] if pick == "min" else values[0] / own[0])
    return min(found) if pick == "min" else max(found)


def _middle(state: State) -> float:
    depth = len(state.weights)
    pairs = [(i, j) for i in range(1, depth - 1) for j in range(i, depth - 1)]
    products = (product(state.weights[i : j + 1]) for i, j in pairs)
    return max((float(np.linalg.norm(found, 2)) for found in products), default=0.0)


def first_order_operator(
    weights: Weights, y: np.ndarray, fit: float, shares: list[float]
) -> np.ndarray:
    """The matrix P on residuals Phi (d n, row after row) with -eta P Phi the first-order change.

    Column by column: what layer changes of -eta share_i c W_{L:i+1}^T Phi Y^T W_{i-1:1}^T do to
    W_{L:1} Y, for each unit Phi in turn.
    """
    d, n = weights[-1].shape[0], y.shape[1]
    columns = []
    for k in range(d * n):
        phi = np.zeros(d * n)
        phi[k] = 1.0
        unit = phi.reshape(d, n)
        change = np.zeros((d, n))
        for i, share in enumerate(shares):
            above = product(weights[i + 1 :]) if i + 1 < len(weights) else np.eye(d)
            below = product(weights[:i]) @ y if i else y
            change += above @ (share * fit * above.T @ unit @ below.T) @ below
        columns.append(change.ravel())
    return np.array(columns).T


def _curvature(state: State, pick: str) -> float:
    depth, keep = len(state.weights), 1 - state.learning_rate * state.weight_decay
    # (38) with (24): all but one layer decay.
    shares = [keep ** (depth - 1)] * depth
    matrix = first_order_operator(state.weights, state.y, state.data_fit_scale, shares)
    values = np.sort(np.linalg.eigvalsh((matrix + matrix.T) / 2))
    # P vanishes off the row space of Y.
    kept = state.x.shape[0] * np.linalg.matrix_rank(state.y)
    return float(values[-kept] if pick == "min" else values[-1])


def _displacement(state: State) -> float:
    keep = (1 - state.learning_rate * state.weight_decay) ** state.step
    assert state.initial is not None
    pairs = zip(state.weights, state.initial, strict=True)
    return max(np.sqrt(a.shape[1]) * np.linalg.norm(a - keep * b) for a, b in pairs)


def higher_order(state: State, rates: list[float]) -> float:
    """||E|| / ||Phi||: the product's terms with two gradients or more, one by one."""
    weights, phi = state.weights, residual(state.weights, state.x, state.y)
    changes = []
    for i, rate in enumerate(rates):
        above = product(weights[i + 1 :]) if i + 1 < len(weights) else np.eye(len(phi))
        below = product(weights[:i]) @ state.y if i else state.y
        changes.append(-rate * state.data_fit_scale * above.T @ phi @ below.T)
    kept = [(1 - r * state.weight_decay) * w for r, w in zip(rates, weights, strict=True)]
    total = np.zeros_like(phi)
    for chosen in itertools.product([False, True], repeat=len(weights)):
        if sum(chosen) >= 2:
            factors = [changes[i] if c else kept[i] for i, c in enumerate(chosen)]
            total += product(factors) @ state.y
    on_row_space = phi @ np.linalg.pinv(state.y) @ state.y
    return float(np.linalg.norm(total) / np.linalg.norm(on_row_space))


def hessian(state: State, shares: list[float] | None = None) -> np.ndarray:
    """R^{1/2} H R^{1/2}, H that of `loss` in the entries of W_1, ..., W_L, row after row.

    H = c sum_s (J_s^T J_s + sum_i phi_is T_is) + lambda I: J_s the derivative of the outputs on
    sample s, T_is the second derivative of output i, which has parts of two different layers only.
    """
    weights, x, y = state.weights, state.x, state.y
    depth, phi = len(weights), residual(weights, x, y)

    def between(i: int, j: int) -> np.ndarray:
        return product(weights[i + 1 : j]) if j > i + 1 else np.eye(weights[i].shape[0])

    above = [between(i, depth) for i in range(depth)]
    below = [product(weights[:i]) @ y if i else y for i in range(depth)]
    jacobian = np.concatenate(
        [np.einsum("oa,bs->osab", above[i], below[i]).reshape(phi.size, -1) for i in range(depth)],
        axis=1,
    )
    total = jacobian.T @ jacobian
    starts = np.cumsum([0, *(w.size for w in weights)])
    for i, j in itertools.combinations(range(depth), 2):
        # W_{L:j+1} dW_j W_{j-1:i+1} dW_i W_{i-1:1} y against phi.
        left, right = above[j].T @ phi, below[i]
        block = np.einsum("as,bc,ds->abcd", left, between(i, j).reshape(weights[j].shape[1], -1),
                          right).reshape(weights[j].size, weights[i].size)  # fmt: skip
        rows, columns = slice(starts[j], starts[j + 1]), slice(starts[i], starts[i + 1])
        total[rows, columns] += block
        total[columns, rows] += block.T
    total = state.data_fit_scale * total + state.weight_decay * np.eye(len(total))
    shares = [1.0] * depth if shares is None else shares
    roots = np.repeat(np.sqrt(shares), [w.size for w in weights])
    return roots[:, None] * total * roots


OBSERVABLES = {
    "loss": lambda s: loss(s.weights, s.x, s.y, s.weight_decay, s.data_fit_scale),
    "regression_error": lambda s: (
        np.linalg.norm(residual(s.weights, s.x, s.y)) / np.linalg.norm(s.x)
    ),
    "off_subspace_error": lambda s: np.linalg.norm(product(s.weights) @ off_projector(s.y), 2),
    "singular_values": _spectrum,
    "weight_norms": lambda s: np.array([np.linalg.norm(w) for w in s.weights]),
    "unbalancedness": lambda s: _unbalancedness(s, "fro"),
    "unbalancedness_nuclear": lambda s: _unbalancedness(s, "nuc"),
    "effective_rank": _effective_rank,
    "stable_rank": lambda s: np.sum(_spectrum(s) ** 2) / np.max(_spectrum(s)) ** 2,
    "numerical_rank": lambda s: np.sum(_spectrum(s) > s.rank_threshold * np.max(_spectrum(s))),
    "gradient_norm": _gradient_norm,
    "oracle_distance": _oracle_distance,
    "upper_gain_min": lambda s: _upper(s, "min"),
    "upper_gain_max": lambda s: _upper(s, "max"),
    "lower_gain_min": lambda s: _lower(s, "min"),
    "lower_gain_max": lambda s: _lower(s, "max"),
    "middle_gain_max": _middle,
    "curvature_min": lambda s: _curvature(s, "min"),
    "curvature_max": lambda s: _curvature(s, "max"),
    "higher_order_term": lambda s: higher_order(s, [s.learning_rate] * len(s.weights)),
    "displacement": _displacement,
    "output_norm": lambda s: np.linalg.norm(product(s.weights) @ s.y) / np.linalg.norm(s.x),
    "first_layer_off_range": lambda s: np.linalg.norm(s.weights[0] @ off_projector(s.y), 2),
}
