"""`python -m skyconsole`: the same program as the `skyconsole` command."""

from .console.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
