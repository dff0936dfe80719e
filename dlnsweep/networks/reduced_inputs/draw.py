"""What a run draws whose inputs are reduced to their span: all of it, and its coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from dlnsweep.contracts.descent import Carry, Inputs
from dlnsweep.contracts.network import REDUCED_INPUTS, Network
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.contracts.view import View
from dlnsweep.networks.generic.descent import GenericKernel
from dlnsweep.networks.generic.draw import Drawn, GenericDrawing
from dlnsweep.networks.generic.factors import decays_of
from dlnsweep.networks.generic.view import GenericView
from dlnsweep.networks.reduced_inputs import by_law
from dlnsweep.networks.reduced_inputs.coordinates import (
    Frame,
    reduce_params,
    reduce_test,
    reduced_samples,
)
from dlnsweep.networks.reduced_inputs.network import left_out, on_span
from dlnsweep.networks.test_samples import TestSamples


class SpanView(GenericView):
    """The state of a run on the span of its samples, as observables see it."""

    @property
    def left_out(self) -> list[tuple[Any, Any]]:
        """Eigenvalues of R^(1/2) H R^(1/2) that are not the landscape's, and how often each is.

        Off the span, but for b, there is the decay alone.
        """
        numbers, constants = self.constants.numbers, self.constants
        decay = numbers["weight_decay"].astype(self.dtype)
        decays = decays_of(decay, constants.decays, self.params)["off"]
        counts = left_out(self.kernel.original, self.whole)
        found = []
        for place, count in enumerate(counts):
            if self.params["off"][place] is None:
                continue
            rate = (constants.rates["off"][place] / numbers["learning_rate"]).astype(self.dtype)
            found.append((rate * decays[place], count))
        return found


@dataclass(frozen=True)
class SpanKernel(GenericKernel):
    """The generic way on the span of the samples.

    Attributes:
        original: The network itself.
    """

    original: Network

    def view(self, inputs: Inputs, carry: Carry) -> View:
        """Return the view of the state that observables see."""
        return SpanView(self, inputs, carry.state.recorded)


@dataclass(frozen=True)
class SpanDrawing(GenericDrawing):
    """How the runs of a batch draw samples and parameters, in coordinates of the samples' span."""

    way: ClassVar[str] = REDUCED_INPUTS
    takes_weights: ClassVar[bool] = False
    trained_by: ClassVar[type[GenericKernel]] = SpanKernel

    @property
    def lasting_key(self) -> str:
        """A text that is equal for runs which one program can train, sizes of arrays aside."""
        if self.by_law:
            # Their dimension is a number.
            problem = self.sections.problem.model_copy(update={"measurement_dim": 0})
            sections = replace(self.sections, problem=problem)
            return f"{REDUCED_INPUTS} {sections.static_key()}"
        return f"{REDUCED_INPUTS} {super().lasting_key}"

    @property
    def by_law(self) -> bool:
        """Whether inputs are drawn by their law, in any number of dimensions."""
        problem = self.sections.problem
        law = PROBLEMS[problem.kind].law
        return law is not None and problem.inputs == "law"

    def example_arguments(self) -> dict[str, Any]:
        """Return the arguments of one run: its traced numbers, by law the dimension, its seed."""
        found = super().example_arguments()
        if self.by_law:
            found["problem.measurement_dim"] = float(self.sections.problem.measurement_dim)
        return found

    @property
    def trained_network(self) -> Network:
        """The network whose parameters are trained."""
        return on_span(self.network)

    def kernel_fields(self) -> dict[str, Any]:
        """Return what else the kernel of a kind of network is made with."""
        return {"original": self.network}

    @property
    def rank(self) -> int:
        """The most that the rank of the inputs can be."""
        problem = self.sections.problem
        return PROBLEMS[problem.kind].rank_of(problem)

    def draw(self, arguments: Mapping[str, Any]) -> Drawn:
        """Draw a run, float64."""
        if not self.by_law:
            return self.reduced(super().draw(arguments))[1]
        numbers = {name: value for name, value in arguments.items() if name != "seed"}
        sections = self.sections.with_numbers(numbers, self.width)
        return by_law.draw(self.network, sections, self.key_of(arguments))

    def reduced(self, drawn: Drawn) -> tuple[Frame, Drawn]:
        """Return where the inputs of a run lie, and the run in coordinates of that."""
        basis, samples = reduced_samples(drawn.samples, self.rank)
        frame, test = Frame(basis), drawn.test
        if isinstance(test, TestSamples):
            beyond, test = reduce_test(test, basis, noisy=self._noisy)
            frame = Frame(basis, beyond)
        params = reduce_params(self.network, drawn.params, frame)
        return frame, drawn._replace(samples=samples, params=params, test=test)

    @property
    def _noisy(self) -> bool:
        observables = [OBSERVABLES[name] for name in self.sections.record.observables]
        return any(each.over_noise_levels or each.uses("test_noise") for each in observables)
