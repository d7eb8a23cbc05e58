"""`python -m harness` is the same program as `speedproof`."""

from harness.cli.commands import main

if __name__ == "__main__":
    main()
