"""What a sweep would be written as without this engine: a PyTorch loop, JAX scans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlnsweep.numerics.lazy import jax, jnp, lax


class TorchLoop:
    """An ordinary PyTorch training loop over all samples, full batch."""

    def __init__(
        self,
        weights: Sequence[Any],
        signals: np.ndarray,
        measurements: np.ndarray,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        import torch

        layers = []
        for weight in weights:
            rows, columns = weight.shape
            layer = torch.nn.Linear(columns, rows, bias=False)
            layer.weight = torch.nn.Parameter(torch.tensor(np.asarray(weight)))
            layers.append(layer)
        self.model = torch.nn.Sequential(*layers)
        self.inputs = torch.tensor(np.ascontiguousarray(measurements.T))
        self.targets = torch.tensor(np.ascontiguousarray(signals.T))
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=learning_rate, weight_decay=weight_decay
        )

    def advance(self, steps: int) -> None:
        """Train for some steps."""
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = 0.5 * ((self.model(self.inputs) - self.targets) ** 2).sum()
            loss.backward()
            self.optimizer.step()

    def error(self) -> float:
        """Return the squared error now."""
        import torch

        with torch.no_grad():
            return float(((self.model(self.inputs) - self.targets) ** 2).sum())


class JaxScan:
    """A hand-written `lax.scan` over `jax.grad` steps, one run or `vmap`/`lax.map` over several.

    Args:
        weights: W_1, ..., W_L, with a leading axis of runs unless `over` is None.
        signals: X; the caller gives the reduced samples, so that peers do the same work.
        measurements: Y, or None for Y = I.
        learning_rate: eta.
        weight_decay: lambda.
        steps: Steps of one call of the compiled scan.
        over: None, "vmap" or "map".
    """

    def __init__(
        self,
        weights: Sequence[Any],
        signals: Any,
        measurements: Any,
        learning_rate: float,
        weight_decay: float,
        *,
        steps: int,
        over: str | None = None,
    ) -> None:
        self.weights = tuple(jnp.array(w) for w in weights)
        self.signals = jnp.asarray(signals, self.weights[0].dtype)
        self.measurements = (
            None if measurements is None else jnp.asarray(measurements, self.weights[0].dtype)
        )

        def train(runs: tuple[Any, ...], signals: Any, measurements: Any) -> tuple[Any, ...]:
            def one(weights: Any, x: Any, y: Any) -> Any:
                def objective(weights: Any) -> Any:
                    decay = sum(jnp.sum(w**2) for w in weights)
                    return 0.5 * (_squared_error(weights, x, y) + weight_decay * decay)

                def step(weights: Any, _: None) -> tuple[Any, None]:
                    gradients = jax.grad(objective)(weights)
                    moved = (w - learning_rate * g for w, g in zip(weights, gradients, strict=True))
                    return tuple(moved), None

                return lax.scan(step, weights, None, length=steps)[0]

            if over is None:
                return one(runs, signals, measurements)
            # Each run has data of its own only where they came with an axis of runs.
            own = signals.ndim == 3
            if over == "map":
                if own:
                    return lax.map(lambda a: one(*a), (runs, signals, measurements))
                return lax.map(lambda w: one(w, signals, measurements), runs)
            axes = (0, 0, 0) if own else (0, None, None)
            return jax.vmap(one, in_axes=axes)(runs, signals, measurements)

        lowered = jax.jit(train, donate_argnums=0).lower(
            self.weights, self.signals, self.measurements
        )
        self._train: Callable[..., Any] = lowered.compile()

    def advance(self) -> None:
        """Train all runs for the number of steps given at the start."""
        self.weights = self._train(self.weights, self.signals, self.measurements)
        jax.block_until_ready(self.weights)

    def error(self) -> float:
        """Return the squared error of a single run now, on the reduced samples."""
        return float(_squared_error(self.weights, self.signals, self.measurements))


def _squared_error(weights: Sequence[Any], signals: Any, measurements: Any) -> Any:
    output = measurements
    for weight in weights:
        output = weight if output is None else weight @ output
    return jnp.sum((output - signals) ** 2)
