"""One pass of gradient descent on a committee machine as the dimension grows: an ODE, in float64.

A student of K erf neurons with readouts 1, w_k -> w_k - (eta/d) grad of (1/2) (f(x) - y)^2 on one
fresh x ~ N(0, I_d) a step; a teacher of M such neurons, y = f*(x) + tau e. In the time alpha =
step / d and as d -> infinity the inner products Q = W W^T and R = W V^T, with T = V V^T, obey
(as in Saad and Solla 1995, Phys. Rev. E 52, 4225, whose text was not at hand: tests hold the
averages against samples, and the solution against plain runs)

    dR_in/dalpha = eta  E[delta_i y_n]
    dQ_ik/dalpha = eta  E[delta_i x_k + delta_k x_i] + eta^2 E[delta_i delta_k]
    delta_i      = s'(x_i) (sum_n s(y_n) - sum_k s(x_k) + tau e)

over the Gaussian x_k = w_k.x, y_n = v_n.x with these covariances. For s(z) = erf(z / sqrt 2) the
averages are, with C the covariance of those of the arguments named,

    I3 = E s'(u) v s(w)         = (2/pi) [C_23 (1 + C_11) - C_12 C_13] / [(1 + C_11) sqrt(L3)]
    I4 = E s'(u) s'(v) s(w) s(z) = (4/pi^2) arcsin(L0 / sqrt(L1 L2)) / sqrt(L4)
    I2 = E s'(u) s'(v)          = (2/pi) / sqrt(L4)
"""

from __future__ import annotations

from math import pi

import numpy as np
from jaxtyping import Float
from scipy.integrate import solve_ivp

# Far below the fluctuations of any run that the solution stands beside.
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12

Covariance = Float[np.ndarray, "p p"]


def _three(c: Covariance) -> Float[np.ndarray, "p p p"]:
    """Return I3 of all u, v, w."""
    own = 1 + np.diagonal(c)
    uu, ww = own[:, None, None], own[None, None, :]
    uv, uw, vw = c[:, :, None], c[:, None, :], c[None, :, :]
    root = np.sqrt(uu * ww - uw**2)
    return 2 / pi * (vw * uu - uv * uw) / (uu * root)


def _four(c: Covariance, count: int) -> Float[np.ndarray, "K K p p"]:
    """Return I4 of u, v among the first `count`, and all w, z."""
    own = 1 + np.diagonal(c)
    uu, vv = own[:count, None, None, None], own[None, :count, None, None]
    ww, zz = own[None, None, :, None], own[None, None, None, :]
    uv, wz = c[:count, :count, None, None], c[None, None, :, :]
    uw, uz = c[:count, None, :, None], c[:count, None, None, :]
    vw, vz = c[None, :count, :, None], c[None, :count, None, :]
    last = uu * vv - uv**2
    zero = last * wz - vw * vz * uu - uw * uz * vv + uv * uw * vz + uv * uz * vw
    first = last * ww - vw**2 * uu - uw**2 * vv + 2 * uv * uw * vw
    second = last * zz - vz**2 * uu - uz**2 * vv + 2 * uv * uz * vz
    ratio = np.clip(zero / np.sqrt(first * second), -1.0, 1.0)
    return 4 / pi**2 * np.arcsin(ratio) / np.sqrt(last)


def online_error(
    student: Float[np.ndarray, "K K"],
    mixed: Float[np.ndarray, "K M"],
    teacher: Float[np.ndarray, "M M"],
) -> float:
    """Return (1/2) E (f(x) - f*(x))^2 of erf neurons, from Q, R and T."""
    c = np.block([[student, mixed], [mixed.T, teacher]])
    signs = np.concatenate([np.ones(len(student)), -np.ones(len(teacher))])
    own = np.sqrt(1 + np.diagonal(c))
    return float(signs @ np.arcsin(c / np.outer(own, own)) @ signs / pi)


def online_overlaps(
    student: Float[np.ndarray, "K K"],
    mixed: Float[np.ndarray, "K M"],
    teacher: Float[np.ndarray, "M M"],
    rate: float,
    times: Float[np.ndarray, " t"],
    noise: float = 0.0,
) -> tuple[Float[np.ndarray, "t K K"], Float[np.ndarray, "t K M"]]:
    """Return Q and R at some times, from those at time 0.

    Args:
        student: Q at time 0.
        mixed: R at time 0.
        teacher: T.
        rate: eta: the learning rate times d.
        times: alpha, step / d, in ascending order, from 0 on.
        noise: tau.

    References:
        Saad and Solla 1995, Phys. Rev. E 52, 4225.
    """
    count, known = mixed.shape
    signs = np.concatenate([-np.ones(count), np.ones(known)])

    def change(_: float, flat: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        q = flat[: count**2].reshape(count, count)
        r = flat[count**2 :].reshape(count, known)
        c = np.block([[q, r], [r.T, teacher]])
        # E[delta_i x_j] of all j, students first.
        along = _three(c)[:count] @ signs
        own = 1 + np.diagonal(q)
        both = np.einsum("ikwz,w,z->ik", _four(c, count), signs, signs)
        both += noise**2 * 2 / pi / np.sqrt(np.outer(own, own) - q**2)
        moved = rate * (along[:, :count] + along[:, :count].T) + rate**2 * both
        return np.concatenate([moved.ravel(), rate * along[:, count:].ravel()])

    start = np.concatenate([student.ravel(), mixed.ravel()])
    found = solve_ivp(
        change, (0.0, float(times[-1])), start, t_eval=times, rtol=_RELATIVE, atol=_ABSOLUTE
    )
    values = found.y.T
    return (
        values[:, : count**2].reshape(-1, count, count),
        values[:, count**2 :].reshape(-1, count, known),
    )
