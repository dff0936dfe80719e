"""`python -m dlnsweep.probe`: a process that measures a batch; see `engine/probe.py`."""

import gc
import sys

from dlnsweep.engine.probe import main

if __name__ == "__main__":
    status = main()
    # To look through all that JAX and its programs hold, once more and for nothing, takes a second.
    gc.freeze()
    sys.exit(status)
