"""What the commands of Celery's command line and of the console script share. Without Celery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import click

from habeat.cli.errors import BAD, guarded

Command = TypeVar("Command", bound=Callable[..., Any])


class GuardedCommand(click.Command):
    """A command that shows habeat's errors as one sentence and sets the exit status."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> click.Context:
        make = partial(super().make_context, info_name, args, parent, **extra)
        made: click.Context = guarded(wants_json(args), make)
        return made

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        self._refuse_repetitions(ctx, list(args))
        left: list[str] = super().parse_args(ctx, args)
        return left

    def invoke(self, ctx: click.Context) -> Any:
        invoke = partial(super().invoke, ctx)
        return guarded(bool(ctx.params.get("as_json")), invoke, self.options())

    def options(self) -> dict[str, str]:
        """The options of this command by the names of the API's arguments that they are for."""
        return {
            each.name: max(each.opts, key=len)
            for each in self.params
            if isinstance(each, click.Option) and each.name is not None
        }

    def _refuse_repetitions(self, ctx: click.Context, args: list[str]) -> None:
        """Refuse an option that is given twice, instead of using the last value silently."""
        if ctx.resilient_parsing:
            return
        _, _, order = self.make_parser(ctx).parse_args(args)
        for option, count in Counter(order).items():
            if not isinstance(option, click.Option) or option.multiple or count < 2:
                continue
            if option.secondary_opts or not option.is_flag:
                words = " or ".join((*option.opts, *option.secondary_opts))
                raise click.UsageError(f"{words} can be given only once", ctx)


def wants_json(args: Sequence[str]) -> bool:
    """Whether ``--json`` is among arguments that are not parsed yet."""
    return "--json" in args


def bad() -> None:
    """Exit with status 1: the check or the request failed."""
    click.get_current_context().exit(BAD)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def limit_option(default: int, what: str) -> Callable[[Command], Command]:
    """The option --limit; `what` says what it limits."""
    return click.option(
        "--limit", type=click.IntRange(min=1), default=default, show_default=True, help=what
    )
