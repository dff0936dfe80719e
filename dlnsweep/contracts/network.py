"""What a network is: as a researcher writes it, and as the engine asks its kind. No JAX.

What is specific to a kind stands here, or is named here: its keys in the sweep file, what a step
costs, which observables apply, how its runs are drawn and trained. Who plans and trains asks it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dlnsweep.contracts.observable import OBSERVABLES, Dimensions, Observable
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.contracts.registry import Registry
from dlnsweep.contracts.structure import Structure
from dlnsweep.errors import StoreError
from dlnsweep.settings.base import Constraint, Settings
from dlnsweep.settings.reasons import Reason
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sentences import show
from dlnsweep.settings.switches import are_on
from dlnsweep.settings.training import OF_NETWORK, OWN_SQUARED, STEP_RULE_WORDS, SWITCHES
from dlnsweep.settings.warm_start import WARM_START


@dataclass(frozen=True)
class Network:
    """A network in pure functions of JAX, trained on samples, or a matrix as a function.

    Training makes small

        F(theta) = c loss(predict(theta, Y), X) + (lambda / 2) ||theta||^2,

    with Y the inputs (m, n), X the targets (d, n), c and lambda `training.data_fit_scale` and
    `training.weight_decay`, and ||theta||^2 the sum of the squares of all parameters. A step moves
    leaf i of them by eta r_i times the direction that the optimizer makes of F's gradient; r_i is 1
    unless `rates` says otherwise. Of `task="matrix"` predict(theta, None, settings) is a matrix W
    (d, m), and what takes the loss's place is the problem's own of W. Leaves that are not `trained`
    are constants: F's gradient, its decay, the optimizer and what is recorded of theta know the
    others only.

    The functions get the settings of [network], in which traced numbers may be tracers: they must
    not be converted or compared in Python. Products in them have the full precision of training.

    Attributes:
        kind: Its name in sweep files.
        settings: The settings class of [network], with the field `kind: Literal["..."]`. Static
            fields are Python's values (bool, int, float, str or one of several); a float that is
            traced does not compile anew.
        init: Takes the settings, the data (`Samples`, or `MatrixData` for a matrix, float64) and a
            function from purpose to PRNG key; returns the parameters, any pytree of float64 arrays.
        predict: Takes the parameters, inputs (m, k) and the settings; returns outputs, whose last
            axis is that of the samples. Of a matrix the inputs are None.
        loss: Takes outputs, targets and the settings; returns a scalar, which must not be negative.
            Half the squared error by default.
        reduction: Whether the loss is a "sum" over samples or their "mean". It is minimized as it
            is; minibatches need to know.
        observables: What is recorded where the file does not say.
        version: What its runs are known by: runs of another version are other runs. By default a
            hash of the source files of its functions, and of what these import that lies beside
            them. Of installed packages nothing is seen. Who declares it changes it with every
            change of the numbers, of the settings' defaults, too.
        rates: Takes the initial parameters, the settings and the name of the optimizer, on which
            the powers of a width depend; returns r_i, a number for each leaf, in a tree like that
            of the parameters. Each must be finite and not negative. By default all are 1.
        trained: Takes the initial parameters and the settings; returns whether each leaf is
            trained, as Python's bools in a tree like that of the parameters. By default all are.
        multiplications: Takes the settings, m and d; returns how many products of two numbers it
            takes to predict one sample, or to make the matrix: what `plan` guesses time and memory
            by. By default those of two layers. No JAX.
        structure: What some observables need to know of it: see `Structure`.
        task: Which problems it is trained on, as `Problem.task` has it: "samples" or "matrix".
        lower_precision: Whether predict and loss may round in between to fewer digits than the
            run's precision has, as mixed precision does. By default a run is refused that does.
    """

    kind: str
    settings: type[Settings]
    init: Callable[[Any, Any, Any], Any]
    predict: Callable[[Any, Any, Any], Any]
    loss: Callable[[Any, Any, Any], Any] | None = None
    reduction: Literal["sum", "mean"] = "sum"
    observables: tuple[str, ...] = ("loss",)
    version: str = ""
    rates: Callable[[Any, Any, str], Any] | None = None
    trained: Callable[[Any, Any], Any] | None = None
    multiplications: Callable[[Any, int, int], int] | None = None
    structure: Structure = field(default_factory=Structure)
    task: str = "samples"
    lower_precision: bool = False


@dataclass(frozen=True)
class StepCost:
    """The estimated cost of a step of one run.

    Attributes:
        flops: Floating-point operations.
        state_bytes: Bytes of what changes during a run, and of what a step holds.
        seconds: Seconds on one core.
        record_seconds: Seconds that a record takes beside it.
        draw_bytes: Bytes that drawing the run takes.
    """

    flops: int
    state_bytes: int
    seconds: float
    record_seconds: float = 0.0
    draw_bytes: int = 0


# Of a network that knows its inputs by products with its first layer: the generic way on the span
# of the samples.
REDUCED_INPUTS = "reduced_inputs"
# What outcomes say of the kernel of runs that begin with given weights.
GIVEN = Reason("given", "its initial weights are given")
# The values of sweep.kernel for the generic way's steps as vector instructions, of runs or samples.
BY_VECTORS = ("simd", "simd_samples")
# Those by which a network is trained as its pure functions say: the generic way, these, time jumps
# over its steps, and on the span of the samples.
BY_DEFINITION = ("generic", *BY_VECTORS, "jumps", REDUCED_INPUTS)
# Among the settings of a run, as its results folder has it: the way that "auto" takes beside the
# generic one where it pays, one of `VECTORS`: vector instructions of runs, of samples, or both.
AUTO_TAKES = "sweep.auto_takes"
VECTORS = (*BY_VECTORS, "simd_all")
# Likewise: how many gradients a walk by time jumps may take, which "auto" tries where it is there.
AUTO_JUMPS = "sweep.auto_jumps"
# Likewise: at how many places of a run real steps are taken beside its jumps; at most so many each.
CHECK_JUMPS, LONGEST_BURST = "sweep.check_jumps", 4_000
# Likewise: there in a folder that was begun before runs of the reduced kernel jumped.
ALL_STEPS = "sweep.all_steps"
# Likewise, before those with momentum did.
ALL_MOMENTUM_STEPS = "sweep.all_momentum_steps"
# Likewise: there in a folder that was begun where LLVM does not find the bases of reduced runs.
BASES_BY_NUMPY = "sweep.bases_by_numpy"
# Likewise: where it does not take their steps, and where all steps of a run have the same bases.
STEPS_BY_XLA, WHOLE_BASES = "sweep.steps_by_xla", "sweep.whole_bases"
# Of vector instructions, one core: within a factor of three of what is measured of networks that
# are small enough (results/kept/speed/simd_dense.csv and simd_border.csv).
_SIMD_FLOPS_A_SECOND = 30e9
# A step of a network with a kernel of its own that "auto" does not try to make vector
# instructions of: most of it are multiply-adds, of which `engine/vectors.py` has the border. As
# there, another number, or another count of a kind's operations, changes folders that are begun.
_MOST_OWN_FLOPS = 80_000


class NetworkKind(ABC):
    """A kind of network, trained on problems of one task; the default methods suit most.

    Attributes:
        kind: Its name in sweep files, network.kind.
        task: Which problems it is trained on: those with this `Problem.task`.
        settings: The settings class of [network].
        views: What observables can ask of it; see `observables.VIEWS`.
        observables: What is recorded where the file does not say.
        drawing: "module:class" of the `drawing.Drawing` that draws and starts its runs; named, not
            imported, so that settings are read without JAX.
        generic: The same for the generic way, on the kind's definition in pure functions; empty if
            it has none, as it is trained by no gradient.
        reducible: Whether the reduced kernel can train it.
        honoured: The only values of some dotted settings with which it is trained.
        constraints: What of its settings and others cannot go together, whatever its settings
            class says; see `Settings.constraints`.
        step_rules: The values of training.step_rule beside "uniform", each with what it is.
        squared: Whether its own loss is half the squared error on samples.
        version: What tells its runs from those of another network of this name; empty for this
            package's own.
        layered: Whether the generic way knows layers, of which `network.depth` is the number.
        one_pass: Whether it draws the fresh samples of its steps itself; else the problem does.
        on_span: What `generic` is where inputs are reduced to their span; empty if it cannot be.
    """

    kind: str
    task: str
    settings: type[Settings]
    views: tuple[str, ...]
    observables: tuple[str, ...]
    drawing: str
    generic: str = ""
    reducible: bool = False
    honoured: Mapping[str, tuple[Any, ...]] = {}
    constraints: tuple[Constraint, ...] = ()
    step_rules: Mapping[str, str] = {}
    squared: bool = False
    version: str = ""
    layered: bool = False
    one_pass: bool = False
    on_span: str = ""

    @abstractmethod
    def step_cost(self, row: RunSettings, width: int) -> StepCost:
        """Estimate a step of a run's dense kernel with arrays of `width`."""

    def generic_cost(self, row: RunSettings, width: int) -> StepCost:
        """Estimate a step of a run by the generic way."""
        return self.step_cost(row, width)

    @abstractmethod
    def dimensions(self, row: RunSettings) -> Dimensions:
        """Return the sizes that the length of an observable can depend on."""

    @property
    def kernels(self) -> tuple[str, ...]:
        """The values of sweep.kernel with which it is trained."""
        own = ("dense",) if self.has_own_kernel else ()
        reduced = ("reduced",) if self.reducible else ()
        defined = [k for k in BY_DEFINITION if k != REDUCED_INPUTS or self.on_span]
        return ("auto", *own, *reduced, *(defined if self.generic else ()))

    @property
    def losses(self) -> tuple[str, ...]:
        """The values of training.loss with which it is trained."""
        return (OF_NETWORK,)

    def kernel_of(self, row: RunSettings) -> str:
        """Return the kernel that a run's settings ask for, or the one that "auto" takes for them.

        What only a pilot can tell, as whether the reduced kernel can train it, stays "auto". The
        rule reads the settings alone, never the machine.
        """
        return row["sweep.kernel"]

    def cost(self, row: RunSettings, width: int) -> StepCost:
        """Estimate a step of a run by the kernel that its settings ask for, or its folder has."""
        defined = self.kernel_of(row) in BY_DEFINITION
        cost = (self.generic_cost if defined else self.step_cost)(row, width)
        taken = self.takes_vectors(row, width) and cost.flops <= _MOST_OWN_FLOPS
        if row["sweep.kernel"] == "simd" or (taken and not self.lanes_share(row)):
            return replace(cost, seconds=cost.flops / _SIMD_FLOPS_A_SECOND)
        return cost

    @property
    def has_own_kernel(self) -> bool:
        """Whether a kernel of its own trains it, and not the generic way alone."""
        return self.drawing != self.generic

    def takes_vectors(self, row: RunSettings, width: int) -> bool:
        """Tell whether a run is trained by vector instructions where they pay, unasked.

        Args:
            row: The run's settings.
            width: The width of its arrays.
        """
        if row["sweep.kernel"] != "auto" or row.get(AUTO_TAKES) not in VECTORS:
            return False
        if self.kernel_of(row) != "auto":
            return False
        # Of a kernel of its own it is known beforehand that a step is far too long.
        return not self.has_own_kernel or self.step_cost(row, width).flops <= _MOST_OWN_FLOPS

    def drawing_for(self, row: RunSettings) -> str:
        """Return what draws a run, which is the generic way's if that is asked for."""
        if self.kernel_of(row) == REDUCED_INPUTS:
            return self.on_span
        return self.generic if row["sweep.kernel"] in BY_DEFINITION else self.drawing

    def why_full(self, row: RunSettings, width: int) -> Reason | None:
        """Return why a run is not for the reduced kernel; None if that is to try."""
        if row["sweep.kernel"] in ("dense", *BY_DEFINITION):
            return Reason("asked", "asked for", {"sweep.kernel": "auto"})
        if row.get(WARM_START):
            return GIVEN
        return self.why_not_reducible(row, width)

    def why_not_reducible(self, row: RunSettings, width: int) -> Reason | None:
        """Return why the reduced kernel is not to try a run that asks for no other; else None."""
        return Reason("not_linear", f"{self.kind} is not linear")

    def must_reduce(self, row: RunSettings) -> bool:
        """Return whether a run is trained by the reduced kernel whatever the pilot finds."""
        return False

    def paddable(self, row: RunSettings) -> bool:
        """Return whether narrow networks can stand in wider, zero-padded arrays of its drawing."""
        return False

    def width_is_free(self, row: RunSettings) -> bool:
        """Return whether the sizes of the arrays do not depend on the width."""
        return False

    def lanes_share(self, row: RunSettings) -> bool:
        """Return whether the runs of a batch must have one seed, to share what is drawn by it."""
        return False

    def weight_shape(self, name: str, row: RunSettings) -> tuple[int, ...] | None:
        """Return the shape of an array of weights in a run; None where it is never padded.

        Args:
            name: Its name among those that are kept, such as "weights[0]".
            row: The run's settings.
        """
        return None

    def size_class(self, key: str, value: Any, values: Mapping[str, Any]) -> Any:
        """Return what runs must have in common in a static setting to share a program.

        Args:
            key: The dotted setting.
            value: Its value.
            values: All values of each setting of the sweep.
        """
        return value

    def run_class(self, row: RunSettings, numbers: Mapping[str, Any]) -> Any:
        """Return what runs must have in common beside their static settings to share a program.

        Args:
            row: The settings of one of the runs; static ones are read.
            numbers: Their other settings: columns, or those of one run.
        """
        return 0

    def why_not_trainable(self, row: RunSettings) -> str:
        """Return what is wrong with a stranger's network, as found on one run; else nothing."""
        return ""

    def homes(self) -> tuple[str, ...]:
        """Return the modules, as dotted names, of which a worker process must know one."""
        return (type(self).__module__,)

    def label(self, name: str, label: str) -> str:
        """Return the axis label of an observable as it is written for this kind."""
        return label

    def has(self, observable: Observable) -> bool:
        """Return whether an observable can be recorded."""
        return not observable.views or bool(set(observable.views) & set(self.views))

    def known_observables(self) -> list[str]:
        """Return the names of all observables that can be recorded."""
        return [name for name, one in OBSERVABLES.items() if self.has(one)]


def program_class(row: RunSettings, numbers: Mapping[str, Any]) -> Any:
    """Return what runs with the same static settings must have in common to share a program.

    Args:
        row: The settings of one of the runs.
        numbers: Their other settings, as columns.
    """
    own = network_of(row).run_class(row, numbers)
    for key, off in SWITCHES.items():
        # In a folder that an earlier version began there is no such column.
        own = 2 * own + are_on(key, numbers.get(f"training.{key}", off))
    return own


NETWORKS: Registry[tuple[str, str], NetworkKind] = Registry()
# The tasks of a `Network`; the problems of the others draw what only their own kinds know.
OWN_TASKS = ("samples", "matrix")


def register(network: NetworkKind) -> NetworkKind:
    """Make a kind known under its task and name; the first of a task is its default.

    Raises:
        ValueError: If the task has a kind of this name.
    """
    place = network.task, network.kind
    if place in NETWORKS:
        raise ValueError(f"a network of kind {network.kind!r} is registered for {network.task!r}")
    NETWORKS[place] = network
    OWN_SQUARED.update([network.kind] * network.squared)
    for rule, text in network.step_rules.items():
        if rule not in STEP_RULE_WORDS:
            STEP_RULE_WORDS.add(rule, text=text)
    return network


def find_network(problem_kind: str, network_kind: Any = None) -> NetworkKind:
    """Return the network of a kind that is trained on a kind of problem, else the default one.

    Args:
        problem_kind: The kind of problem.
        network_kind: network.kind, right or wrong; the default's settings refuse a wrong one.
    """
    task = PROBLEMS[problem_kind].task
    if isinstance(network_kind, str) and (task, network_kind) in NETWORKS:
        return NETWORKS[task, network_kind]
    return next(network for (own, _), network in NETWORKS.items() if own == task)


def network_of(row: RunSettings) -> NetworkKind:
    """Return the kind of network of a run, from its dotted settings.

    Raises:
        StoreError: If there is none, as of a folder that is damaged.
    """
    kinds = row["problem.kind"], row["network.kind"]
    try:
        return NETWORKS[PROBLEMS[kinds[0]].task, kinds[1]]
    except (KeyError, TypeError):
        raise StoreError(
            f"a run has problem.kind = {show(kinds[0])} and network.kind = {show(kinds[1])}, which "
            "are not known together: its results folder is damaged, or of a plug-in that is not "
            "named (--plugin FILE); `dlnsweep verify` tells damage."
        ) from None
