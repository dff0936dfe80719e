"""What this package brings: its problems, networks, figures and more, registered like a stranger's.

Whoever looks something up has this module imported; see `Registry`.
"""

from __future__ import annotations

from dlnsweep.contracts import figure as figures
from dlnsweep.contracts import network as networks
from dlnsweep.contracts.loss import Loss, register_loss
from dlnsweep.contracts.optimizer import register_optimizer
from dlnsweep.contracts.problem import Law, Problem, Stream, register
from dlnsweep.contracts.registry import Registry
from dlnsweep.figure_kinds.boundary import BOUNDARY
from dlnsweep.figure_kinds.curves import CURVES
from dlnsweep.figure_kinds.final import FINAL
from dlnsweep.figure_kinds.heatmap import HEATMAP
from dlnsweep.figure_kinds.noise import NOISE
from dlnsweep.figure_kinds.scatter import SCATTER
from dlnsweep.figure_kinds.spectrum import SPECTRUM
from dlnsweep.networks import curvature as _curvature  # noqa: F401

# Imported for the observables that they register.
from dlnsweep.networks.deep_linear_resnet import DEEP_LINEAR_RESNET
from dlnsweep.networks.deep_prior import observables as _deep_prior  # noqa: F401
from dlnsweep.networks.deep_prior.kind import DeepPrior
from dlnsweep.networks.diagonal_linear import DIAGONAL_LINEAR
from dlnsweep.networks.generic import collapse as _collapse  # noqa: F401
from dlnsweep.networks.generic import layers as _layers  # noqa: F401
from dlnsweep.networks.generic import linear_map as _linear_map  # noqa: F401
from dlnsweep.networks.generic import losses
from dlnsweep.networks.generic import observables as _generic  # noqa: F401
from dlnsweep.networks.generic import tangent_kernel as _tangent_kernel  # noqa: F401
from dlnsweep.networks.generic.kind import TASKS, GenericKind, register_network
from dlnsweep.networks.layered import initializers
from dlnsweep.networks.layered import observables as _network  # noqa: F401
from dlnsweep.networks.layered import proof as _proof  # noqa: F401
from dlnsweep.networks.layered.kind import DeepLinear, LinearThenRelu
from dlnsweep.networks.linear_attention import LINEAR_ATTENTION
from dlnsweep.networks.matrix import observables as _matrix  # noqa: F401
from dlnsweep.networks.matrix.kind import EndToEnd, Factorization
from dlnsweep.networks.matrix.parametrized import ParametrizedMatrix
from dlnsweep.networks.mlp.definition import MLP
from dlnsweep.networks.population import observables as _population  # noqa: F401
from dlnsweep.networks.population.kind import Committee
from dlnsweep.optimizers import directions
from dlnsweep.problems import (
    autoencoder,
    deep_prior,
    from_file,
    gaussian_mixture,
    icl_regression,
    matrix_completion,
    matrix_sensing,
    modular_addition,
    multi_index,
    noisy_subspace,
    population,
    power_law,
    regression,
    separable,
    sparse_parity,
    sparse_regression,
    subspace,
    teacher,
    unconstrained_features,
    union_of_subspaces,
)

register(
    Problem(
        "subspace",
        subspace.SubspaceSettings,
        subspace.draw,
        subspace.draw_test,
        subspace.rank,
        certain_rank=subspace.certain_rank,
        isometry=subspace.isometry,
    )
)
register(
    Problem(
        "noisy_subspace",
        noisy_subspace.NoisySubspaceSettings,
        noisy_subspace.draw,
        noisy_subspace.draw_test,
        noisy_subspace.rank,
        # Noise and tail may be zero, or nearly so.
        certain_rank=lambda _: False,
        clean=noisy_subspace.clean,
        isometry=subspace.isometry,
    )
)
register(
    Problem(
        "union_of_subspaces",
        union_of_subspaces.UnionOfSubspacesSettings,
        union_of_subspaces.draw,
        union_of_subspaces.draw_test,
        union_of_subspaces.rank,
        # How many samples a subspace has is left to chance.
        certain_rank=lambda _: False,
    )
)
register(
    Problem(
        "teacher",
        teacher.TeacherSettings,
        teacher.draw,
        teacher.draw_test,
        teacher.rank,
        stream=Stream(teacher.common, teacher.stream),
        law=Law(teacher.law),
    )
)
register(
    Problem(
        "from_file",
        from_file.FromFileSettings,
        from_file.draw,
        from_file.draw_test,
        num_test=from_file.num_test_rows,
    )
)
_CLASSES = Stream(gaussian_mixture.class_means, gaussian_mixture.stream)
_SPARSE = Stream(sparse_regression.coefficients, sparse_regression.stream)
_INDICES = Stream(multi_index.directions, multi_index.stream)
_FEATURES = Stream(power_law.common, power_law.stream)
_PROMPTS = Stream(icl_regression.common, icl_regression.stream)
_LAWS = {module: Law(module.law) for module in (multi_index, gaussian_mixture)}
for _kind, _settings, _module, _stream in (
    ("separable", separable.SeparableSettings, separable, None),
    ("gaussian_mixture", gaussian_mixture.GaussianMixtureSettings, gaussian_mixture, _CLASSES),
    ("sparse_regression", sparse_regression.SparseRegressionSettings, sparse_regression, _SPARSE),
    ("sparse_parity", sparse_parity.SparseParitySettings, sparse_parity, None),
    ("single_index", multi_index.SingleIndexSettings, multi_index, _INDICES),
    ("multi_index", multi_index.MultiIndexSettings, multi_index, _INDICES),
    ("power_law", power_law.PowerLawSettings, power_law, _FEATURES),
    ("icl_regression", icl_regression.IclRegressionSettings, icl_regression, _PROMPTS),
    ("autoencoder", autoencoder.AutoencoderSettings, autoencoder, None),
):
    # No rank is said: of steep spectra, parities and pairs less than min(m, n) is seen.
    _law = _LAWS.get(_module)
    register(Problem(_kind, _settings, _module.draw, _module.draw_test, stream=_stream, law=_law))
register(
    Problem(
        "modular_addition",
        modular_addition.ModularAdditionSettings,
        modular_addition.draw,
        modular_addition.draw_test,
        num_test=modular_addition.num_test,
    )
)
register(
    Problem(
        "unconstrained_features",
        unconstrained_features.UnconstrainedFeaturesSettings,
        unconstrained_features.draw,
        rank=unconstrained_features.rank,
    )
)
register(Problem("deep_prior", deep_prior.DeepPriorSettings, deep_prior.draw, task="inverse"))
register(
    Problem(
        "matrix_completion",
        matrix_completion.MatrixCompletionSettings,
        matrix_completion.draw_completion,
        task="matrix",
    )
)
register(
    Problem(
        "matrix_approximation",
        matrix_completion.MatrixApproximationSettings,
        matrix_completion.draw_approximation,
        task="matrix",
    )
)
register(
    Problem(
        "divergent_completion",
        matrix_completion.DivergentCompletionSettings,
        matrix_completion.draw_divergent,
        task="matrix",
    )
)
register(
    Problem(
        "matrix_sensing",
        matrix_sensing.MatrixSensingSettings,
        matrix_sensing.draw,
        shared=matrix_sensing.draw_operator,
        task="matrix",
    )
)
register(Problem("regression", regression.RegressionSettings, regression.draw, task="matrix"))
register(
    Problem("population", population.PopulationSettings, population.draw, task=population.TASK)
)

for _of_task in (GenericKind, ParametrizedMatrix):
    TASKS[_of_task.task] = _of_task

# The first of a task is its default.
networks.register(DeepLinear())
networks.register(LinearThenRelu())
networks.register(DeepPrior())
networks.register(Factorization())
networks.register(EndToEnd())
networks.register(Committee())
for _defined in (MLP, DIAGONAL_LINEAR, DEEP_LINEAR_RESNET, LINEAR_ATTENTION):
    register_network(_defined)

for _optimizer in directions.OURS:
    register_optimizer(_optimizer)
for _initializer in initializers.OURS:
    initializers.register_initializer(_initializer)
register_loss(Loss("squared", losses.squared))
register_loss(Loss("mean_squared", losses.mean_squared, "mean"))
register_loss(Loss("logistic", losses.logistic, "mean"))
register_loss(Loss("exponential", losses.exponential, "mean"))
register_loss(Loss("cross_entropy", losses.cross_entropy, "mean"))

# A figure that says no kind is of the first.
for _figure in (CURVES, FINAL, HEATMAP, SPECTRUM, SCATTER, NOISE, BOUNDARY):
    figures.register(_figure)

Registry.complete = True
