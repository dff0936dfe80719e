"""The commented starter file that `dlnsweep init` writes."""

from __future__ import annotations

from pathlib import Path

from dlnsweep.errors import SpecError

STARTER = """\
# A sweep file is one run's settings, in which any value may be replaced by several: a list, or a
# range such as { from = 1e-6, to = 1e-1, count = 11, spacing = "log" }  (linear | log | integer).
# Axes cross. A value may also be a formula, { formula = "0.1 / network.depth" }, or sampled,
# { sample = "log_uniform", from = 1e-4, to = 1 } with sweep.samples: `dlnsweep explain formula`,
# sample, block. `dlnsweep explain training` lists the keys of a section with their meaning.
name = "my_sweep"                # also the name of its folder under results/
source = ""                      # the figure or claim that it is about

[problem]
kind = "subspace"                # signals in a random subspace, seen through a Gaussian operator
signal_dim = 64                  # d
measurement_dim = 32             # m <= d
subspace_dim = 4                 # s <= m
num_samples = 1000               # n
condition_number = 1.0

[network]
kind = "deep_linear"             # W_L ... W_1 y
depth = 3                        # L, the number of weight matrices
width = 100                      # hidden width
initializer = "fan_in_normal"    # or "orthogonal", "balanced", "identity"

[training]
optimizer = "gradient_descent"   # or "momentum", "nesterov", "adam", "adamw", "rmsprop"
learning_rate = 0.05
weight_decay = [1e-1, 1e-2, 1e-3]
step_rule = "uniform"            # or "fan_in": layer i uses learning_rate / fan_in_i
num_steps = 10_000
# stop_when = { observable = "regression_error", patience = 20 }   # ends what improves no more

[record]
spacing = "log"                  # or "linear", or "explicit" with steps = [...]
count = 100
observables = ["regression_error", "off_subspace_error"]
# weights = "final"              # keep the weights, too: results.weights(run_id)
                                 # another file with more steps goes on from them: sweep.go_on_from;
                                 # one with other settings begins with them: sweep.warm_start

[sweep]
seeds = 5                        # seeds 0..4; or a list of seeds
precision = "float64"
# zip = [["network.depth", "training.learning_rate"]]     # axes that move together
# [sweep.until] adds seeds until an interval is narrow, [sweep.refine] finds where runs begin to
# fail: `dlnsweep explain until`, refine.

[figure]
kind = "curves"                  # or "final", "heatmap", "spectrum"; "scatter" of what is sampled,
                                 # "boundary" of [sweep.refine]
y = ["regression_error", "off_subspace_error"]
hue = "training.weight_decay"
# of kind "final": at = "min", "argmin" (its step), or { minimise = "test_error" } of each run
"""


def write_starter(path: Path) -> None:
    """Write the starter file.

    Raises:
        SpecError: If the file exists already or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(STARTER)
    except FileExistsError:
        raise SpecError(
            f"{path}: there is a file of this name already, which is kept; give another name."
        ) from None
    except OSError as error:
        raise SpecError(
            f"{path}: cannot be written: {error.strerror}; give a file in a folder that can."
        ) from None
