"""`python -m dlnsweep.worker`: it computes batches; see `execution/workers/worker.py`."""

import gc
import sys


def main() -> int:
    """Serve batches until the standard input ends; return the exit status."""
    # What is imported stays: to look through it again and again takes a quarter of that time. The
    # worker turns it on when all is there.
    gc.disable()
    from dlnsweep.execution.workers.worker import main

    status = main()
    # To look through all that JAX and its programs hold, once more and for nothing, takes a second.
    gc.freeze()
    return status


if __name__ == "__main__":
    sys.exit(main())
