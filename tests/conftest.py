"""Shape annotations of the kernels are enforced under pytest; set before they are imported."""

from __future__ import annotations

import jaxtyping

jaxtyping.install_import_hook("dlnsweep.kernels", "beartype.beartype")
