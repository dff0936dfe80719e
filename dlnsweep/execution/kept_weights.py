"""The weights of a batch as the store keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlnsweep.contracts.network import network_of
from dlnsweep.engine.trained import Trained
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.store.weights import Group, packed


def weights_file(
    columns: Mapping[str, np.ndarray], shared: Mapping[str, Any], trained: Trained
) -> bytes | None:
    """Return the content of a batch's file of weights; None where none are kept.

    Args:
        columns: The batch's runs, with their ids.
        shared: Their other settings.
        trained: What has become of them.
    """
    if not shared.get("record.weights"):
        return None
    assert trained.weight_steps is not None
    groups: dict[tuple[Any, ...], list[int]] = {}
    for run in range(len(columns["run_id"])):
        groups.setdefault(_shapes(columns, shared, trained, run), []).append(run)
    return packed(
        [
            Group(
                np.asarray(columns["run_id"], np.int64)[runs],
                trained.weight_steps[runs],
                {
                    name: np.ascontiguousarray(array[(runs, slice(None), *map(slice, shape))])
                    for (name, array), shape in zip(trained.weights.items(), shapes, strict=True)
                },
                [_leaf(leaf, trained.weights, shapes, runs) for leaf in trained.state],
            )
            for shapes, runs in groups.items()
        ]
    )


def _leaf(
    leaf: np.ndarray,
    weights: Mapping[str, np.ndarray],
    shapes: tuple[tuple[int, ...], ...],
    runs: list[int],
) -> np.ndarray | str:
    """Return a part of the state of some runs; the name of the weights that it is, if it is any."""
    own = leaf[runs]
    for (name, array), shape in zip(weights.items(), shapes, strict=True):
        if own.dtype == array.dtype and own.shape[1:] == shape:
            last = array[runs, -1]
            if own.tobytes() == last.tobytes():
                return name
    return own


def _shapes(
    columns: Mapping[str, np.ndarray], shared: Mapping[str, Any], trained: Trained, run: int
) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of a run's arrays, which stand in wider ones where its batch is padded."""
    row = RunSettings.at(columns, run, shared)
    network = network_of(row)
    return tuple(
        network.weight_shape(name, row) or array.shape[2:]
        for name, array in trained.weights.items()
    )
