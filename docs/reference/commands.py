"""Print docs/reference/commands.md: every command with its help and all options, from the code.

python docs/reference/commands.py --write
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from habeat.cli import habeat

PAGE = Path(__file__).with_suffix(".md")
WIDTH = 110

HEAD = """\
# Commands, option by option

What each command's `--help` says. This page is generated from the code:

    python docs/reference/commands.py --write

[Command line](command-line.md) introduces the commands, and explains times, spans, exit status and
completion.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_group(habeat, "celery -A proj habeat", "##")])


def _group(group: click.Group, path: str, heading: str) -> Iterator[str]:
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        title = f"{path} {name}".removeprefix("celery -A proj habeat ")
        yield from _command(command, f"{path} {name}", f"{heading} {title}")
        if isinstance(command, click.Group):
            yield from _group(command, f"{path} {name}", heading + "#")


def _command(command: click.Command, path: str, heading: str) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"{heading}\n\n```text\n{usage}\n```\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield textwrap.fill(_as_code(" ".join(paragraph.split())), WIDTH) + "\n"
    rows = list(_options(command, context))
    if rows:
        yield "\n".join(["| option | meaning |", "|---|---|", *rows]) + "\n"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record and isinstance(parameter, click.Option):
            option, meaning = (" ".join(text.split()) for text in record)
            yield f"| `{option.replace('|', chr(92) + '|')}` | {_as_code(_cell(meaning))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _as_code(text: str) -> str:
    """Options that are named in a sentence are set as code."""
    return re.sub(r"(?<![`\w-])(--[a-z][a-z-]*)", r"`\1`", text)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page())
    else:
        print(page())
