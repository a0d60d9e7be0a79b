"""`--write-docs` writes the fault matrix, docs/evidence/fault-matrix.md."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from tests.verification.history.page import FIGURES, PAGE, read_figures, written


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.verification.history", description=__doc__
    )
    parser.add_argument("--write-docs", action="store_true", required=True)
    parser.add_argument("--simulation", type=Path, help="figures of `make simulate` to keep")
    parser.add_argument("--chaos", type=Path, help="figures of `make chaos` to keep")
    given = parser.parse_args()
    FIGURES.mkdir(parents=True, exist_ok=True)
    for name, path in (("simulation", given.simulation), ("chaos", given.chaos)):
        if path is not None:
            shutil.copy(path, FIGURES / f"{name}.json")
    PAGE.write_text(written(PAGE.read_text(), *read_figures()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
