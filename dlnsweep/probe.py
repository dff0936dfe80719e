"""`python -m dlnsweep.probe`: a process that measures a batch; see `engine/probe.py`."""

import sys

from dlnsweep.engine.probe import main

if __name__ == "__main__":
    sys.exit(main())
