"""Appendix A of arXiv:2502.15522 in the paper's own weights, of variance 1, in plain NumPy.

A second transcription of every bound, from the paper's text alone; it shares no code with
dlnsweep. Each function returns the bound over what was measured (or what was measured over a bound
from below): 1 and more where the paper's statement holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log, sqrt
from typing import Any

import numpy as np


@dataclass
class Proof:
    """One run by (28): its numbers, its weights at every step, and which steps of phase 2 count."""

    x: np.ndarray
    y: np.ndarray
    eta: float
    lam: float
    path: list[list[np.ndarray]]
    seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        first = self.path[0]
        self.L, self.dw, self.m = len(first), first[0].shape[0], first[0].shape[1]
        self.d = self.x.shape[0]
        self.di = [self.m] + [self.dw] * (self.L - 1)
        sigma = np.linalg.svd(self.x, compute_uv=False)
        sigma = sigma[sigma > 1e-10 * sigma[0]]
        self.smax, self.smin, self.normx = sigma[0], sigma[-1], np.linalg.norm(self.x)
        self.kappa, self.sr = self.smax / self.smin, (self.normx / self.smax) ** 2
        # (29): lambda = gamma sigma_min^2 sqrt(m / d).
        self.gamma = self.lam / (self.smin**2 * sqrt(self.m / self.d))
        self.norms = [np.linalg.norm(self.phi(t)) for t in range(len(self.path))]
        # (30a) and (30b).
        self.tau = next(
            t for t, n in enumerate(self.norms) if n <= 80 * self.gamma * self.normx / self.L
        )
        self.T = 2 * log(self.dw) * sqrt(self.d * self.m) / (self.eta * self.gamma * self.smin**2)

    def W(self, t: int, j: int, i: int) -> np.ndarray:
        """W_{j:i}(t), (21a); layers are numbered from 1."""
        if i > j:
            return np.eye(self.d if i > self.L else self.m)
        out = self.path[t][i - 1]
        for k in range(i + 1, j + 1):
            out = self.path[t][k - 1] @ out
        return out

    def u(self, t: int) -> np.ndarray:
        """(21b)."""
        return self.W(t, self.L, 1) @ self.y / sqrt(self.dw ** (self.L - 1) * self.m)

    def phi(self, t: int) -> np.ndarray:
        """(21c)."""
        return self.u(t) - self.x

    def gradient(self, t: int, i: int) -> np.ndarray:
        """(26)."""
        left = self.W(t, self.L, i + 1).T @ self.phi(t)
        right = (self.W(t, i - 1, 1) @ self.y).T
        return left @ right / sqrt(self.dw ** (self.L - 1) * self.m)

    def next(self, t: int) -> list[np.ndarray]:
        """(28)."""
        return [
            (1 - self.eta * self.lam / self.di[i - 1]) * self.path[t][i - 1]
            - self.eta * self.gradient(t, i)
            for i in range(1, self.L + 1)
        ]

    def cprod(self, i: int) -> float:
        """(24); i = 0 for C_prod."""
        out = 1.0
        for j in range(1, self.L + 1):
            if j != i:
                out *= 1 - self.eta * self.lam / self.di[j - 1]
        return out

    def p(self, t: int) -> np.ndarray:
        """(38), on the row space of Y: with an orthonormal basis of it in the place of samples."""
        basis = np.linalg.svd(self.y, full_matrices=False)[2]
        basis = basis[: np.linalg.matrix_rank(self.y)].T
        total = 0.0
        for i in range(1, self.L + 1):
            below = self.W(t, i - 1, 1) @ self.y @ basis
            above = self.W(t, self.L, i + 1)
            total = total + self.cprod(i) * np.kron(below.T @ below, above @ above.T)
        return total / (self.dw ** (self.L - 1) * self.m)

    def e(self, t: int) -> np.ndarray:
        """E(t) of (36): what a step of (28) does to U, less what (36) has of it."""
        after = self.next(t)
        out = self.y
        for weight in after:
            out = weight @ out
        scale = self.dw ** (self.L - 1) * self.m
        first = self.cprod(0) * self.u(t)
        for i in range(1, self.L + 1):
            above, below = self.W(t, self.L, i + 1), self.W(t, i - 1, 1) @ self.y
            first = first - self.eta * self.cprod(i) / scale * (
                above @ above.T @ self.phi(t) @ below.T @ below
            )
        return out / sqrt(scale) - first

    def moved(self, t: int, since: int) -> float:
        """The largest norm in (59c) and (69c), both in the Frobenius norm."""
        return max(
            float(np.linalg.norm(w - (1 - self.eta * self.lam / n) ** (t - since) * first))
            for w, n, first in zip(self.path[t], self.di, self.path[since], strict=True)
        )

    def lower(self, t: int, low: float, high: float) -> float:
        """(59b), second and fourth line, with constants for 3/4 and 5/4; also Lemma A.8."""
        rank, out = np.linalg.matrix_rank(self.y), np.inf
        for i in range(1, self.L):
            values = np.linalg.svd(self.W(t, i, 1) @ self.y, compute_uv=False)
            out = min(out, high * self.dw ** (i / 2) * self.smax / values[0])
            out = min(out, values[rank - 1] / (low * self.dw ** (i / 2) * self.smin))
        return out

    def upper(self, t: int, low: float, high: float) -> float:
        """(59b), third and fifth line for 1 < i <= L; also Lemma A.10."""
        out = np.inf
        for i in range(2, self.L + 1):
            values = np.linalg.svd(self.W(t, self.L, i), compute_uv=False)
            power = self.dw ** ((self.L - i + 1) / 2)
            out = min(out, high * power / values[0], values[self.d - 1] / (low * power))
        return out

    def middle(self, t: int) -> float:
        """The largest ||W_{j:i}|| / (sqrt(L) d_w^((j-i+1)/2)) for 1 < i <= j < L, (51)."""
        return max(
            np.linalg.norm(self.W(t, j, i), 2) / self.dw ** ((j - i + 1) / 2) / sqrt(self.L)
            for i in range(2, self.L)
            for j in range(i, self.L)
        )

    def spectrum(self, t: int, low: float, high: float) -> float:
        """The eigenvalues of P(t) between two bounds."""
        values = np.linalg.eigvalsh(self.p(t))
        return min(values[0] / low, high / values[-1])

    def off(self, t: int) -> float:
        """The left side of (74)."""
        project = np.eye(self.m) - self.y @ np.linalg.pinv(self.y, rcond=1e-10)
        norm = float(np.linalg.norm(self.W(t, self.L, 1) @ project, 2))
        return norm / sqrt(self.dw ** (self.L - 1) * self.m)

    def first_off(self, t: int) -> float:
        """||W_1(t) P_perp||_op."""
        project = np.eye(self.m) - self.y @ np.linalg.pinv(self.y, rcond=1e-10)
        return float(np.linalg.norm(self.path[t][0] @ project, 2))

    def statements(self) -> dict[str, Any]:
        """What each statement of Appendix A comes to over a run: its margin, or its constant."""
        L, m, d, eta, lam, s = self.L, self.m, self.d, self.eta, self.lam, self.smin
        one, two = (
            range(self.tau + 1),
            [t for t in range(self.tau, len(self.path)) if t <= self.T and t in self.seen],
        )
        end = next(t for t in range(len(self.path)) if t >= self.T)
        n = self.norms
        root = sqrt(d / m)
        return {
            "one": min((1 - eta * L * s**2 / (32 * m)) / (n[t + 1] / n[t])
                       for t in range(self.tau)),
            "recursion": min(
                ((1 - eta * L * s**2 / (16 * m)) * n[t]
                 + 5 * eta * lam / (2 * m) * root * self.normx) / n[t + 1]
                for t in range(self.tau)),
            "tau": 32 * m / (eta * L * s**2) * log(L * s**2 / (35 * lam)) / self.tau,
            "two": min(80 * lam * self.normx / s**2 * root / n[t] for t in two),
            "two order": min(self.gamma * self.normx / n[t] for t in two),
            "off": min(2 * (1 - eta * lam / m) ** t / sqrt(m) * self.first_off(0) / self.off(t)
                       for t in two),
            "at T": self.dw**-1.5 / self.off(end),
            "exponent": -log(self.off(end)) / log(self.dw),
            "start lower": self.lower(0, 4 / 5, 6 / 5),
            "start middle": 1 / self.middle(0),
            "start upper": self.upper(0, 4 / 5, 6 / 5),
            "start error": (6 / 5 * root + 1) * self.normx / n[0],
            "start output": 6 / 5 * root * self.normx / np.linalg.norm(self.u(0)),
            "output": min(5 / 4 * root * self.normx / np.linalg.norm(self.u(t))
                          for t in [*one, *two]),
            "lower": min(self.lower(t, 3 / 4, 5 / 4) for t in one),
            "upper": min(self.upper(t, 3 / 4, 5 / 4) for t in one),
            "middle": min(1 / self.middle(t) for t in [*one, *two]),
            "displacement": min(
                110 * self.kappa**2 * sqrt(d * self.sr) / L / self.moved(t, 0) for t in one[1:]),
            "kept": (1 - eta * lam / m) ** self.tau / (1 - 1 / (20 * L)),
            "higher": min(17 * eta * L * s**2 / (1024 * m) * n[t] / np.linalg.norm(self.e(t))
                          for t in one),
            "spectrum": min(
                self.spectrum(t, (9 / 32) ** 2 * L * s**2 / m, 3 * L * self.smax**2 / m)
                for t in one),
            "upper later": min(self.upper(t, 5 / 7, 9 / 7) for t in two),
            "lower later": min(
                9 / 7 * self.dw ** (i / 2) * self.smax
                / np.linalg.norm(self.W(t, i, 1) @ self.y, 2)
                for t in two for i in range(1, L)),
            "higher later": min(3 * eta * s**2 / (80 * m) * n[t] / np.linalg.norm(self.e(t))
                                for t in two),
            "spectrum later": min(
                self.spectrum(t, s**2 / (10 * m), 2 * L * self.smax**2 / m) for t in two),
        }  # fmt: skip

    def late_displacement(self) -> float:
        """kappa^2 sqrt(d sr(X)) log(d_w) over the left side of (69c)."""
        order = self.kappa**2 * sqrt(self.d * self.sr) * log(self.dw)
        late = [t for t in range(self.tau + 1, len(self.path)) if t <= self.T and t in self.seen]
        return min(order / self.moved(t, self.tau) for t in late)


def widths(d: int, sr: float, depth: int, kappa: float, width: float) -> float:
    """(70), its constant 1."""
    return depth**3 * kappa**4 * d * sr * log(width) ** 2
