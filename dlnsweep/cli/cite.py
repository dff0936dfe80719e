"""`dlnsweep cite`: BibTeX of what a sweep is about and of what it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlnsweep.cli.results import Folder

if TYPE_CHECKING:
    from dlnsweep.store import Store

_KINDS = ("problem.kind", "network.kind", "training.optimizer")
# The kernels of more batches than this are hardly others.
_MOST_BATCHES = 200


def cite(folder: Folder) -> None:
    """Print BibTeX of what a sweep is about, of what it uses, and of dlnsweep.

    Entries are of the kinds of its runs, of the formulas in its figures, and of settings and
    kernels that are somebody's. They have the arXiv number that dlnsweep states where it carries
    them out, and a title where it knows one for certain.
    """
    from dlnsweep.contracts import plugins
    from dlnsweep.spec.citing import USED, bibtex
    from dlnsweep.store import Store

    plugins.load()
    store = Store.open(folder)
    wanted = dict.fromkeys([*_KINDS, *(key for key, _ in USED)])
    known = [key for key in wanted if key in store.settings]
    table = store.runs_table(known)
    kinds = {key: [v for v in table[key].unique().to_pylist() if v] for key in known}
    kinds["kernel"] = _kernels(store)
    print(bibtex(str(store.sweep.get("source") or ""), kinds, _theory(store.sweep)), end="")


def _kernels(store: Store) -> list[str]:
    """Return the kernels that carried runs out; a damaged file is told by other commands."""
    from dlnsweep.errors import StoreError

    found: dict[str, None] = {}
    for number in sorted(store.done())[:_MOST_BATCHES]:
        try:
            column = store.read_batch("outcomes", number, ["kernel"])
        except StoreError:
            continue
        if "kernel" in column.column_names:
            found |= dict.fromkeys(v for v in column["kernel"].unique().to_pylist() if v)
    return list(found)


def _theory(sweep: dict[str, Any]) -> list[str]:
    """Return the formulas that the sweep's figures draw, as far as its record has their form."""
    figures = sweep["sweep"].get("figures")
    drawn = [each.get("theory") for each in figures or () if isinstance(each, dict)]
    names = [name for each in drawn if isinstance(each, list) for name in each]
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))
