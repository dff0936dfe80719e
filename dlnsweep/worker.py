"""`python -m dlnsweep.worker`: a process that computes batches; see `execution/worker.py`."""

import sys

from dlnsweep.execution.worker import main

if __name__ == "__main__":
    sys.exit(main())
