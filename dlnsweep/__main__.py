"""`python -m dlnsweep`."""

from dlnsweep.cli.outermost import main

if __name__ == "__main__":
    main()
