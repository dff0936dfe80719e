"""What is told of a batch that was interrupted."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from dlnsweep.execution.checkpoint import Checkpoint
from dlnsweep.store.checkpoints import CheckpointFile
from dlnsweep.store.files import LocalFiles


@pytest.mark.parametrize(
    ("done", "sentence"),
    [
        (0, "kept before its first step"),
        (1, "kept at less than 0.1 % of its steps"),
        (9999, "kept at 99.9 % of its steps"),
        # Runs that jumps walk again, or that left their rehearsal.
        (30_000, "kept, with some of its runs trained once more, to keep the tolerance"),
    ],
)
def test_how_far_a_batch_is_kept_is_never_more_than_all_of_it(
    tmp_path: Path, done: int, sentence: str
):
    file = CheckpointFile(LocalFiles(tmp_path), 0)
    assert Checkpoint(file).kept(done, 10_000) == sentence
    without = Checkpoint(file, math.inf).kept(done, 10_000)
    assert without == "not kept, for want of checkpoints (--checkpoint 0)"
