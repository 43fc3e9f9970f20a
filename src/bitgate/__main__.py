"""``python -m bitgate``: the command line where the ``bitgate`` script is not on the path."""

from bitgate.cli import main

if __name__ == "__main__":
    main()
