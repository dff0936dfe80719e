"""`python -m dlnsweep`."""

from dlnsweep.cli import main

if __name__ == "__main__":
    main()
