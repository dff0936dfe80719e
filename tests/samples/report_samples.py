"""Results folders for pages: hostile in every string, large, and begun."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import store_samples as samples

from dlnsweep.store import Store

PAYLOADS = (
    "<script>window.pwned=1</script>",
    "</script></style></title></textarea><script>window.pwned=2</script>",
    "\"'><img src=x onerror=window.pwned=3>",
    "<svg onload=window.pwned=4>",
    "javascript:window.pwned=5",
    "--><script>window.pwned=6</script><!--",
    "{{ 7 * 7 }}{% raw %}",
    "]]><a href='javascript:window.pwned=7'>arXiv:2502.15522</a>",
    "$x$ \x1b[31m \x00 \u202e <b>",
)
ALL = " ".join(PAYLOADS)
# What a title may be: one line of printable characters.
TITLE = " ".join(each for each in PAYLOADS if each.isprintable())
CURVES = {"kind": "curves", "y": ["error"], "hue": "training.weight_decay"}


def nested(depth: int) -> dict[str, Any]:
    """Return tables in tables, as deep as a reader of JSON allows, and deeper than ours."""
    return {"x": nested(depth - 1)} if depth else {"x": ALL}


def add_figures(root: Path, figures: list[dict[str, Any]], **changes: Any) -> None:
    """Let the sweep of a folder ask for figures, and say other things."""
    path = root / "sweep.json"
    content = json.loads(path.read_text()) | changes
    content["sweep"]["figures"] = figures
    path.write_text(json.dumps(content))


def small(root: Path) -> Path:
    """Return a folder with two figures in which all is done and some runs diverged."""
    samples.complete(root)
    add_figures(root, [CURVES, {**CURVES, "file": "linear", "y_scale": "linear"}])
    return root


def with_cells(root: Path) -> Path:
    """Return a folder with a figure of lines and one of cells, in which some runs diverged."""
    samples.complete(root)
    cells = {"kind": "heatmap", "x": "training.weight_decay", "y": "seed", "value": "error"}
    add_figures(root, [CURVES, cells])
    return root


def hostile(root: Path) -> Path:
    """Return a folder that says what would run as script in every string that it holds."""
    whole = samples.plan()
    count = len(whole.run_ids)
    settings = dict(whole.settings)
    settings["training.optimizer"] = np.array(
        [PAYLOADS[i // 3 % len(PAYLOADS)] for i in range(count)], dtype=object
    )
    settings["record.note"] = np.array([ALL] * count, dtype=object)
    settings["network.<img src=x onerror=window.pwned=8>"] = np.arange(count) // 3
    changed = samples.plan(settings=settings, source=ALL, precision=ALL)
    store = Store.create(root, changed, {"versions": {ALL: ALL}, ALL: ALL, "cpu": [ALL]})
    receipt = {
        **samples.RECEIPT,
        "versions": {ALL: ALL},
        "device": {"kind": ALL, ALL: "x"},
        "notes": [ALL, {"x": ALL}, 3, nested(400)],
        "created": ALL,
        "surroundings": {"cpu": ALL, "threads": ALL, "variables": {ALL: ALL}},
    }
    for number, rows in store.batches():
        tables = samples.records(store.known_run_ids()[rows])
        curves, outcomes = (
            table.rename_columns(
                [
                    name.replace("error", "error<script>alert(1)</script>")
                    for name in table.column_names
                ]
            )
            for table in tables
        )
        words = outcomes.column_names.index("kernel_reason")
        outcomes = outcomes.set_column(words, "kernel_reason", [[ALL] * len(rows)])
        store.commit(number, curves, outcomes, receipt)
    observable = "error<script>alert(1)</script>"
    figures = [
        {"kind": "curves", "y": [observable], "hue": "training.optimizer", "title": TITLE},
        {"kind": "curves", "y": [observable], "panel_by": "training.optimizer", "file": "panels"},
        {"kind": ALL, "y": [ALL], ALL: ALL},
    ]
    add_figures(
        root, [*figures, {"kind": ALL, "x": nested(400)}], name=ALL, observables=[ALL, observable],
        sweep_sha256=ALL, numerics_version=ALL,
    )  # fmt: skip
    return root


def hostile_but_drawn(root: Path) -> Path:
    """Return a hostile folder whose figures are all of a known kind, so that they are drawn."""
    hostile(root)
    content = json.loads((root / "sweep.json").read_text())
    add_figures(root, content["sweep"]["figures"][:2])
    return root


def begun(root: Path) -> Path:
    """Return a folder with one of two batches done."""
    store = Store.create(root, samples.plan(), samples.ENVIRONMENT)
    samples.commit(store, store.batches()[0][0])
    add_figures(root, [CURVES])
    return root


def large(root: Path, groups: int, seeds: int = 2) -> Path:
    """Return a folder of so many runs, in batches of some thousands, with large figures."""
    count = groups * seeds
    seed = np.tile(np.arange(seeds), groups)
    rate = np.repeat(np.geomspace(1e-4, 1.0, groups), seeds)
    settings = {
        "problem.signal_dim": np.full(count, 8),
        "network.depth": np.full(count, 2),
        "training.learning_rate": rate,
        "seed": seed,
    }
    batch = np.arange(count) // 5000
    whole = samples.plan(
        run_ids=np.arange(count) * 7 + 1, settings=settings, batch=batch,
        lane=np.arange(count) % 5000,
    )  # fmt: skip
    samples.complete(root, whole)
    scatter = {"kind": "scatter", "x": "training.learning_rate", "y": ["error"]}
    add_figures(root, [{**scatter, "file": f"scatter{i}"} for i in range(4)])
    return root
