"""``celery -A proj habeat``: the command group, and what its commands share.

Exit codes:

- 0: done.
- 1: the check or the request failed. The scheduler is unhealthy, beat_schedule is not valid, an
  entry was not found, exists already or was changed meanwhile, Redis is unavailable, the API may
  not change an entry of beat_schedule, or `load` refused a document.
- 2: wrong usage, an invalid value, or an invalid setting.

Errors are one sentence on stderr, without a traceback; with ``--json``, an object on stdout.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from celery.bin.base import CeleryCommand, handle_preload_options

from habeat.cli.command import GuardedCommand, wants_json
from habeat.cli.command import bad as bad
from habeat.cli.command import json_option as json_option
from habeat.cli.errors import guarded

#: The module of each command, in the order of the help.
COMMANDS = {
    "status": "watching",
    "health": "watching",
    "top": "top.command",
    "metrics": "metrics",
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
    "check": "checking",
    "plan": "planning",
    "explain": "explaining",
    "history": "slots",
    "drift": "drifting",
    "diff": "diffing",
    "dead": "dead",
    "export": "exchange",
    "load": "exchange",
    "backup": "backing_up",
    "restore": "backing_up",
    "migrate": "migrating",
    "hold": "holding",
    "calendar": "calendars",
    "step-down": "stepping_down",
    "adopt": "adopting",
    "purge": "purging",
}


#: Options that are not named like the API's argument that they set.
_ALIASES = {
    "preview": {"end": "--until", "seconds": "--every"},
    **{name: {"seconds": "--every"} for name in ("add", "update")},
    "resume": {"from": "--from"},
    "history": {"outcome": "--outcome"},
}

#: The time limit of commands with many steps (`export`, `simulate` …); a user can interrupt them.
LONG_TIMEOUT_S = 120.0


class Group(click.Group):
    """A group whose usage errors are also JSON with ``--json``."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> click.Context:
        make = partial(super().make_context, info_name, args, parent, **extra)
        made: click.Context = guarded(wants_json(args), make)
        return made

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return guarded(wants_json(args), partial(super().resolve_command, ctx, args))


class Commands(Group):
    """Imports a command only when it is used: `celery worker` does not need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        loaded = importlib.import_module(f"habeat.cli.{module}")
        command: click.Command = getattr(loaded, f"{cmd_name.replace('-', '_')}_command")
        return command


class HabeatCommand(GuardedCommand, CeleryCommand):
    """A command of the group: Celery's, with habeat's errors."""

    def options(self) -> dict[str, str]:
        return {**_ALIASES.get(self.name or "", {}), **super().options()}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options only; Celery's own method adds arguments if they have help."""
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        with formatter.section("Options"):
            formatter.write_dl([row for each in options if (row := each.get_help_record(ctx))])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from habeat.cli.completion import rest_of_name  # not needed by `celery worker`

        return [*super().shell_complete(ctx, incomplete), *rest_of_name(ctx, incomplete)]


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
            # Celery loads this module for each of its commands, `worker` too.
            from habeat.client import Client
            from habeat.client.author import system_user
            from habeat.core.change_record import Author, Way

            author = Author(system_user(), Way.CLI)
            with Client(ctx.obj.app, long_timeout=LONG_TIMEOUT_S, by=author) as client:
                function(client, **given)

        run.__doc__ = function.__doc__
        # click's decorators have stored the options and arguments in this attribute.
        run.__dict__["__click_params__"] = getattr(function, "__click_params__", [])
        return click.command(name, cls=HabeatCommand)(run)

    return decorate


def on_a_terminal() -> bool:
    """Whether a person can answer a question: stdin is a terminal."""
    return sys.stdin.isatty()


def check_terminal(doing: str) -> None:
    """UsageError if a question cannot be asked; `doing` is what would be confirmed."""
    if not on_a_terminal():
        raise click.UsageError(f"{doing} without a terminal needs --yes")


def client_app() -> Any:
    """The Celery app that ``-A`` names."""
    return click.get_current_context().obj.app
