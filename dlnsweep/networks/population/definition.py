"""What "committee" is, in pure functions, and how its runs draw and train.

    f(x) = sum_k a_k s(w_k . x),    F = (c/2) E (y - f(x))^2 + (lambda/2) (sum |w_k|^2 + |a|^2)

over x ~ N(0, I_d) and the targets of `problems/population.py`. The gradient of w_k is a linear
combination of the w's and v's, since by Stein's identity E x g(w_1.x, ..., v_M.x) is one. So W(t)
stays in the span of W(0) and V, at finite steps and with decay, and in an orthonormal basis of it
W is K x (K + M) whatever d is: gradient descent there is gradient descent in d dimensions, and so
is every rule that depends on inner products alone.

At the start the entries of W are N(0, alpha^2 / d), those of different neurons correlated by r:
W = C G / sqrt(d) with C C^T = alpha^2 ((1 - r) I + r 1 1^T), and the coordinates of G are M
independent N(0, 1) along the teacher and Bartlett's triangle of the other d - M dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Array, Float, Int

from dlnsweep.contracts.descent import Carry, Inputs
from dlnsweep.contracts.drawing import Sections
from dlnsweep.contracts.network import Network
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.networks.generic import steps
from dlnsweep.networks.generic.descent import GenericKernel
from dlnsweep.networks.generic.draw import GenericDrawing
from dlnsweep.networks.generic.state import Constants, Samples, State
from dlnsweep.networks.population.one_pass import one_pass_step
from dlnsweep.networks.population.settings import CommitteeSettings
from dlnsweep.networks.population.student import Student, squared_distance
from dlnsweep.networks.population.view import PopulationView
from dlnsweep.numerics.divergence import squared_limit
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.streams import bartlett, gaussian
from dlnsweep.problems.population import Teacher
from dlnsweep.settings.run_settings import RunSettings


def init(settings: CommitteeSettings, data: Samples, key: Any) -> Student:
    """Draw the student; its inputs are d."""
    size = data.inputs
    teachers, students = data.targets.readouts.shape[0], settings.width
    along = gaussian(key("weights/1"), students, teachers)
    beyond = bartlett(key("law/1"), key("law/1/chi"), students, size - teachers)
    neurons = jnp.concatenate([along, beyond], axis=1)
    share = jnp.asarray(settings.initial_correlation, jnp.float64)
    mixed = jnp.linalg.cholesky((1 - share) * jnp.eye(students) + share)
    neurons = settings.layer_init_scale * multiply(mixed, neurons) / jnp.sqrt(size)
    readouts = jnp.full(students, settings.readout_scale, jnp.float64)
    if settings.readouts == "signs":
        readouts = (
            jnp.where(gaussian(key("weights/2"), students, 1)[:, 0] < 0, -1.0, 1.0) * readouts
        )
    return Student(neurons, readouts)


def predict(params: Student, inputs: Any, settings: CommitteeSettings) -> Student:
    """Return the student: what it gives on all inputs together is known by its weights alone."""
    del inputs, settings
    return params


def loss(student: Student, teacher: Teacher, settings: CommitteeSettings) -> Float[Array, ""]:
    """Return (1/2) E (y - f(x))^2."""
    return 0.5 * (squared_distance(settings.activation, student, teacher) + teacher.noise**2)


def trained(params: Student, settings: CommitteeSettings) -> Student:
    """Return which leaves are trained."""
    del params
    both: Any = settings.trained_layers == "both"
    return Student(True, both)  # pyright: ignore[reportArgumentType]


COMMITTEE = Network("committee", CommitteeSettings, init, predict, loss, trained=trained)


@dataclass(frozen=True)
class CommitteeKernel(GenericKernel):
    """The generic way on the expected loss, or one pass through samples of it."""

    def step(self, constants: Constants, state: State, now: Int[Array, ""]) -> State:
        """Return the state after one step."""
        if not steps.is_one_pass(self.training):
            return super().step(constants, state, now)
        return one_pass_step(self, constants, state, now)

    def limit(self, params: Any, constants: Constants, factor: Any) -> Float[Array, ""]:
        """Return the limit of twice the loss; the zero network's is E y^2."""
        teacher = constants.samples.targets
        silent = Student(jnp.zeros_like(params.neurons), jnp.zeros(params.neurons.shape[:1]))
        zero = 2 * self.loss(silent, teacher, self.settings)
        return squared_limit(2 * self.fit(params, constants), zero, factor, zero.dtype)

    def view(self, inputs: Inputs, carry: Carry) -> PopulationView:
        """Return the view of the state that observables see."""
        return PopulationView(self, inputs, carry.state.recorded)


@dataclass(frozen=True)
class CommitteeDrawing(GenericDrawing):
    """How the runs of a batch draw teacher and student, in coordinates."""

    trained_by: ClassVar[type[GenericKernel]] = CommitteeKernel
    is_named: ClassVar[bool] = False
    # Its weights are coordinates, in a frame that its seed draws.
    takes_weights: ClassVar[bool] = False

    @classmethod
    def from_row(cls, row: RunSettings, padded_width: int) -> CommitteeDrawing:
        """Read a run's dotted settings."""
        return cls(Sections.from_row(row), COMMITTEE, padded_width)

    @property
    def lasting_key(self) -> str:
        """A text that is equal for runs which one program can train, sizes of arrays aside."""
        return self.sections.static_key()

    def examples(self, sections: Sections, key: Any) -> tuple[Samples, Any]:
        """Draw the teacher; the inputs are all of N(0, I_d), of which d is what is known."""
        teacher = PROBLEMS[sections.problem.kind].draw(sections.problem, key)
        return Samples(jnp.asarray(sections.problem.input_dim, jnp.float64), teacher), None

    def stream(self, sections: Sections, arguments: Mapping[str, Any]) -> Any:
        """Return nothing: samples of a step are drawn in coordinates that turn with the student."""
        del sections, arguments
