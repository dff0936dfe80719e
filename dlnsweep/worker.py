"""`python -m dlnsweep.worker`: a process that computes batches; see `execution/worker.py`."""

import gc
import sys

from dlnsweep.execution.worker import main

if __name__ == "__main__":
    status = main()
    # To look through all that JAX and its programs hold, once more and for nothing, takes a second.
    gc.freeze()
    sys.exit(status)
