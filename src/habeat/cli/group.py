"""``celery -A proj habeat``: the command group, and what its commands share.

Exit codes:

- 0: done.
- 1: the check or the request failed. The scheduler is unhealthy, an entry was not found, exists
  already or was changed meanwhile, Redis is unavailable, the API may not change an entry of
  beat_schedule, or `load` refused a document.
- 2: wrong usage, an invalid value, or an invalid setting.

Errors are one sentence on stderr, without a traceback.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import click
from celery.bin.base import CeleryCommand, handle_preload_options

from habeat.client import Client
from habeat.errors import HabeatError, SettingsError, ValidationError

BAD = 1
WRONG_USAGE = 2

#: The module of each command, in the order of the help.
COMMANDS = {
    "status": "watching",
    "health": "watching",
    "list": "entries",
    "show": "entries",
    "add": "changing",
    "update": "changing",
    "remove": "changing",
    "pause": "changing",
    "resume": "changing",
    "rename": "changing",
    "trigger": "asking",
    "backfill": "asking",
    "preview": "slots",
    "simulate": "simulating",
    "history": "slots",
    "drift": "slots",
    "dead": "dead",
    "export": "exchange",
    "load": "exchange",
}


#: The time limit of commands with many steps (`export`, `simulate` …); a user can interrupt them.
LONG_TIMEOUT_S = 120.0


class Commands(click.Group):
    """Imports a command only when it is used: `celery worker` does not need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        loaded = importlib.import_module(f"habeat.cli.{module}")
        command: click.Command = getattr(loaded, f"{cmd_name}_command")
        return command


class HabeatCommand(CeleryCommand):
    """A command that prints habeat's errors as one sentence and sets the exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HabeatError as error:
            click.echo(f"habeat: {error}", err=True)
            wrong = isinstance(error, ValidationError | SettingsError)
            ctx.exit(WRONG_USAGE if wrong else BAD)


@click.group(name="habeat", cls=Commands)
@click.pass_context
@handle_preload_options
def habeat(ctx: click.Context, **_: Any) -> None:
    """Inspect and change the schedule: which replica leads, what is due, what was sent."""


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command that receives a Client of the app as its first argument."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @click.pass_context
        def run(ctx: click.Context, /, **given: Any) -> None:
            with Client(ctx.obj.app, long_timeout=LONG_TIMEOUT_S) as client:
                function(client, **given)

        run.__doc__ = function.__doc__
        # click's decorators have stored the options and arguments in this attribute.
        run.__dict__["__click_params__"] = getattr(function, "__click_params__", [])
        return click.command(name, cls=HabeatCommand)(run)

    return decorate


def bad() -> None:
    """Exit with status 1: the check or the request failed."""
    click.get_current_context().exit(BAD)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
