"""`dlnsweep cite`: BibTeX of what a sweep is about and of what it uses."""

from __future__ import annotations

from dlnsweep.cli.results import Folder

_KINDS = ("problem.kind", "network.kind", "training.optimizer")


def cite(folder: Folder) -> None:
    """Print BibTeX of what a sweep is about, of the kinds that it uses, and of dlnsweep.

    Entries have the arXiv number that a kind says in its definition, and no more.
    """
    from dlnsweep.contracts import plugins
    from dlnsweep.spec.citing import bibtex
    from dlnsweep.store import Store

    plugins.load()
    store = Store.open(folder)
    known = [key for key in _KINDS if key in store.settings]
    table = store.runs_table(known)
    kinds = {key: [v for v in table[key].unique().to_pylist() if v] for key in known}
    print(bibtex(str(store.sweep.get("source") or ""), kinds), end="")
