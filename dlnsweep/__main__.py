"""`python -m dlnsweep`."""

from dlnsweep.outermost import main

if __name__ == "__main__":
    main()
