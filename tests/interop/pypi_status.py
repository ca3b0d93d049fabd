"""The status report of the PyPI package `pgq`, run by the peers' Python: CONFIG."""

from __future__ import annotations

import sys

import pgq  # type: ignore[import-not-found]

if __name__ == "__main__":
    pgq.PGQStatus(sys.argv[1:])
