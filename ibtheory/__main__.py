"""``python -m ibtheory``: the command line."""

from ibtheory.cli import main

if __name__ == "__main__":
    main(prog_name="ibtheory")
