"""How the runs of "deep_prior" are drawn and started, in arrays of a few sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Float

from dlnsweep.contracts.descent import Carry, Inputs
from dlnsweep.contracts.drawing import Drawing, Sections, record_numbers
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.networks.deep_prior.descent import PriorKernel
from dlnsweep.networks.deep_prior.kind import room_of
from dlnsweep.networks.deep_prior.view import Constants, Sizes, activate
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.streams import gaussian, keys_of
from dlnsweep.settings.base import static_text
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.switches import switched_on

# Lanes of a call on a CPU, one after another: one that has ended costs nothing.
_LANES = 16
_SIZES = ("network.width", "problem.measurement_dim", "problem.signal_dim")


@dataclass(frozen=True)
class PriorDrawing(Drawing):
    """How the runs of a batch draw their operator, signal and network.

    Attributes:
        width: The width of the arrays.
        room: Rows and columns of the arrays that hold A.
    """

    width: int
    room: tuple[int, int]

    @classmethod
    def from_row(cls, row: RunSettings, padded_width: int) -> PriorDrawing:
        """Read a run's dotted settings."""
        return cls(Sections.from_row(row), padded_width, room_of(row))

    @property
    def lasting_key(self) -> str:
        """A text that is equal for runs which one program can train."""
        sections = self.sections
        return " ".join(
            (
                static_text(sections.problem, without=["signal_dim", "measurement_dim"]),
                static_text(sections.network, without=["width", "input_dim"]),
                static_text(sections.training, without=["num_steps"]),
                *switched_on(sections.training),
                static_text(sections.record),
                str(self.room),
            )
        )

    def layout(self, platform: str, run_bytes: int, lanes: int) -> Layout:
        """Choose how the lanes of a call are executed: on a CPU one after another."""
        if platform == "cpu":
            return Layout(1, _LANES)
        return super().layout(platform, run_bytes, lanes)

    def example_arguments(self) -> dict[str, Any]:
        """Return the arguments of one run."""
        sizes = dict(zip(_SIZES, (self.width, *self.room), strict=True))
        return {**self.sections.traced(), "seed": 0, **sizes}

    def kernel(self, layout: Layout) -> PriorKernel:
        """Return what trains a run."""
        sections = self.sections
        return PriorKernel(
            sections.training,
            sections.record,
            early_exit=layout.vectorized == 1,
            activation=sections.network.activation,
            loss_name=sections.problem.loss,
            both=sections.network.trained_layers == "both",
        )

    def start(
        self,
        kernel: Any,
        arguments: Mapping[str, Any],
        convert: Callable[[Any], Any],
        shared: Any = None,
    ) -> tuple[Inputs, Carry]:
        """Draw a run; return its inputs and its state at step 0."""
        del shared
        sections, constants = self.draw(arguments, convert)
        factor = sections.training.divergence_factor
        return kernel.start(constants, record_numbers(arguments), factor)

    def draw(
        self, arguments: Mapping[str, Any], convert: Callable[[Any], Any]
    ) -> tuple[Sections, Constants]:
        """Draw a run: its settings with their numbers, and what its kernel is given."""
        numbers = dict(arguments)
        key = keys_of(numbers.pop("seed"))
        k, m, n = (numbers.pop(name) for name in _SIZES)
        sections = self.sections.with_numbers(numbers, k)
        problem = sections.problem
        drawn = PROBLEMS[problem.kind].draw(problem, key, (m, n), self.room)
        root = jnp.sqrt(jnp.asarray(k, jnp.float64))
        weights = self._output_weights(key, k, n) / root
        signal = drawn.signal
        if problem.signal == "network":
            hidden = gaussian(key("data/signal_weights"), self.width, 1)[:, 0]
            signal = multiply(weights, activate(sections.network.activation, hidden)[0])
        noise = problem.noise_level * drawn.noise
        both = sections.network.trained_layers == "both"
        start = jnp.where(
            jnp.arange(self.width) < k, gaussian(key("weights/hidden"), self.width, 1)[:, 0], 0.0
        )
        arrays = {
            "product": multiply(drawn.operator, weights),
            "gram": multiply(drawn.operator, drawn.operator.T) if both else None,
            "operator": drawn.operator,
            "output_weights": weights,
            "signal": signal,
            "measurements": multiply(drawn.operator, signal) + noise,
            "noise_norm": jnp.linalg.norm(noise),
            "start": start,
        }
        constants = Constants(
            **jax.tree.map(convert, arrays),
            loss_power=jnp.asarray(problem.loss_power, jnp.float64),
            learning_rate=jnp.asarray(sections.training.learning_rate, jnp.float64),
            root_width=root,
            sizes=Sizes(*(jnp.asarray(size, jnp.int64) for size in (k, m, n))),
        )
        return sections, constants

    def _output_weights(self, key: Any, k: Any, n: Any) -> Float[Array, "n k"]:
        """Draw V, zero beyond n rows and k columns."""
        entries = gaussian(key("weights/output"), self.room[1], self.width)
        if self.sections.network.output_entries == "signs":
            entries = jnp.sign(entries)
        else:
            # The distribution function of a Gaussian entry is uniform in (0, 1).
            entries = jnp.sqrt(3.0) * jax.lax.erf(entries / jnp.sqrt(2.0))
        inside = (jnp.arange(self.room[1]) < n)[:, None] & (jnp.arange(self.width) < k)
        return jnp.where(inside, entries, 0.0)
