"""What an observable is, and the table of all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.registry import Registry, must_be
from dlnsweep.errors import DlnsweepError, SpecError
from dlnsweep.settings.sentences import raised

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.settings.sections import RecordSettings


# What an observable may be for: what the view that it is given offers, by name.
VIEWS = {
    "linear": "linear networks",
    "samples": "networks that learn signals from measurements",
    "layers": "networks of weight matrices",
    "parameters": "networks in pure functions (mlp and its like, and those of `register_network`)",
    "deep_prior": "deep_prior",
    "matrix": "networks on a loss of a matrix",
    "factors": "factorizations of a matrix",
    "parametrized": "matrices as functions of parameters (those of `register_network`)",
    "end_to_end": "factorizations with the end-to-end update beside them",
    "population": "two layers on Gaussian inputs without end",
}


@dataclass(frozen=True)
class Dimensions:
    """The sizes that an observable's length can depend on."""

    signal_dim: int
    measurement_dim: int
    depth: int
    num_noise_levels: int = 0
    num_eigenvalues: int = 0


@dataclass(frozen=True)
class Observable:
    """A function of the training state that can be recorded.

    Attributes:
        name: The word used in sweep files and as the Parquet column.
        label: Axis label, with mathtext.
        text: One line that says what it is.
        compute: Takes the view and the settings of [record]; returns a scalar or a vector.
        size: Length of the vector for given dimensions; None for a scalar.
        needs_test_samples: Whether fresh samples must be drawn for it.
        over_noise_levels: Whether its entries belong to the levels of record.noise_levels.
        views: The networks that have it, as words of `VIEWS`: a property of the end-to-end matrix
            is for "linear" ones only, of which `compute` then gets a `LinearView`. Empty: every
            network has it.
        needs_isometry: Whether the problem's operator must be examined for it.
        needs_layers: Whether it reads the layers themselves, which the reduced kernel never
            forms; all else that a `LinearView` offers it has.
        needs_initial: Whether it looks back at the layers of step 0, which are kept for it.
        reads: The keys of [record] that it reads, beside those that the other attributes imply;
            None: unknown, any of them.
        basis_free: Whether it is made of predictions, the loss, its derivatives and norms of the
            parameters, and so is the same in other orthonormal coordinates of the inputs. Of a run
            whose inputs are reduced to their span only such are recorded; the view's `data` and
            `test` are then in coordinates of the span, and its `params` the kernel's own.
        steps_a_record: About how many steps a record takes; 0: no more than a few.
    """

    name: str
    label: str
    text: str
    compute: Callable[[Any, RecordSettings], Float[Array, "..."]]
    size: Callable[[Dimensions], int] | None = None
    needs_test_samples: bool = False
    over_noise_levels: bool = False
    views: tuple[str, ...] = ("linear",)
    needs_isometry: bool = False
    needs_layers: bool = True
    needs_initial: bool = False
    reads: tuple[str, ...] | None = None
    basis_free: bool = False
    steps_a_record: int = 0

    @property
    def is_ours(self) -> bool:
        """Return whether this package brings it."""
        return str(getattr(self.compute, "__module__", "")).split(".")[0] == __name__.split(".")[0]

    def computed(self, view: Any, record: RecordSettings) -> Float[Array, "..."]:
        """Return its value, in the precision of what it is computed of.

        Raises:
            SpecError: If a stranger's function fails; a sentence that names it.
        """
        try:
            return self.compute(view, record).astype(view.dtype)
        except DlnsweepError:
            raise
        except Exception as error:
            if self.is_ours:
                raise
            raise SpecError(
                f"observable '{self.name}' cannot be computed of a {type(view).__name__} "
                f"({raised(error)}); mend it, or say by views= of which networks it is."
            ) from error

    def uses(self, key: str) -> bool:
        """Return whether it reads a key of [record], or may."""
        implied = {
            "num_test_samples": self.needs_test_samples,
            "noise_levels": self.over_noise_levels,
        }
        return self.reads is None or key in self.reads or implied.get(key, False)


OBSERVABLES: Registry[str, Observable] = Registry()


def has_dear_records(row: Mapping[str, Any]) -> bool:
    """Tell whether a run records an observable of which a record takes many steps."""
    return any(OBSERVABLES[name].steps_a_record for name in row["record.observables"])


def register(observable: Observable) -> Observable:
    """Make an observable known under its name.

    Raises:
        ValueError: If the name is taken or is not a lower-case identifier, or a view is unknown.
    """
    must_be(observable, Observable, "register_observable")
    if not observable.name.isidentifier() or observable.name != observable.name.lower():
        raise ValueError(f"observable name {observable.name!r} is not a lower-case identifier")
    if observable.name in OBSERVABLES:
        raise ValueError(f"an observable named {observable.name!r} is registered already")
    unknown = [view for view in observable.views if view not in VIEWS]
    if unknown:
        raise ValueError(
            f"observable {observable.name!r} is for {unknown[0]!r}; known are {', '.join(VIEWS)}"
        )
    OBSERVABLES[observable.name] = observable
    return observable


def observable(name: str, label: str, text: str, **options: Any) -> Callable[[Any], Any]:
    """Register the decorated function, which takes a view and the settings of [record]."""

    def add(compute: Callable[..., Any]) -> Callable[..., Any]:
        options.setdefault("needs_layers", False)
        options.setdefault("reads", ())
        register(Observable(name, label, text, compute, **options))
        return compute

    return add


def of_any_network(label: str) -> str:
    """Return an axis label with f(Y) in place of W_{L:1} Y."""
    return re.sub(r"W_\{L:1\}(?:\(([^()]*)\)|(Y'?))", lambda m: f"f({m[1] or m[2]})", label)
