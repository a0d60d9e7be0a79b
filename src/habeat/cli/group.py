"""``celery -A proj habeat``: the group, and what all its commands have in common.

Exit codes: 0 done; 1 the thing asked about is bad (unhealthy, not found, there already, changed
meanwhile, Redis away, an entry of beat_schedule that the API may not change, a document that `load`
refuses); 2 wrong usage, a value that is not allowed included, or a setting that cannot work. What
habeat has to complain of is one sentence on stderr, without a traceback.
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

#: Where the commands are, in the order in which the help shows them.
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


#: How long a command of many steps may take (`export`, `simulate` …): a person can stop it.
LONG_TIMEOUT_S = 120.0


class Commands(click.Group):
    """Loads a command when it is asked for: a `celery worker` has no use for them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found = importlib.import_module(f"habeat.cli.{module}")
        command: click.Command = getattr(found, f"{cmd_name}_command")
        return command


class HabeatCommand(CeleryCommand):
    """A command whose errors are sentences."""

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
    """The schedule that habeat keeps: who leads, what is due, and changes to it."""


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command that is given a Client of the app as its first argument."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @click.pass_context
        def run(ctx: click.Context, /, **given: Any) -> None:
            with Client(ctx.obj.app, long_timeout=LONG_TIMEOUT_S) as client:
                function(client, **given)

        run.__doc__ = function.__doc__
        # Where click's decorators have left the parameters.
        run.__dict__["__click_params__"] = getattr(function, "__click_params__", [])
        return click.command(name, cls=HabeatCommand)(run)

    return decorate


def bad() -> None:
    """End the command with the exit code for something bad."""
    click.get_current_context().exit(BAD)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
