"""Errors of the commands: one sentence on stderr or, with ``--json``, an object on stdout.

A program that reads JSON gets JSON whatever happens, so it need not tell apart the outputs of a
command that worked and of one that failed. The exit status is the same in both forms.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from habeat.cli.wrapping import columns_of_errors, wrapped
from habeat.errors import (
    BulkError,
    CallTimeout,
    EntryExists,
    HabeatError,
    RevisionConflict,
    SettingsError,
    ValidationError,
)
from habeat.printable import printable, printable_json

BAD = 1
WRONG_USAGE = 2

Result = TypeVar("Result")

#: The command line that texts of the library suggest; `as_typed` puts in the app's real name.
EXAMPLE = "celery -A proj "
#: The advice where no Redis is known and no app was named, either.
NO_APP = f"; or name your app: {EXAMPLE}habeat COMMAND"

#: What an error carries besides its sentence; values that were passed in may be secret, so they are
#: left out.
_FACTS = (
    "entry",
    "field",
    "allowed",
    "setting",
    "expected_rev",
    "found_rev",
    "owner",
    "id",
    "request_id",
)


def guarded(
    as_json: bool, call: Callable[[], Result], options: Mapping[str, str] | None = None
) -> Result:
    """The result of `call`. Errors of habeat are shown, and with `as_json` errors of usage too.

    `options` are the command's, by the names of the values that they set. Raises click's Exit with
    the status.
    """
    try:
        return call()
    except HabeatError as error:
        wrong = isinstance(error, ValidationError | SettingsError)
        status = WRONG_USAGE if wrong else BAD
        sentence = sentence_of(error, options)
        if not as_json:
            click.echo(wrapped(f"habeat: {sentence}", columns_of_errors(), 2), err=True)
        else:
            _say_json(type(error).__name__, sentence, status, _facts(error))
        raise click.exceptions.Exit(status) from error
    except click.ClickException as error:
        if not as_json:
            raise
        _say_json("UsageError", error.format_message(), error.exit_code, {})
        raise click.exceptions.Exit(error.exit_code) from error
    except click.Abort as error:
        if not as_json:
            raise
        _say_json("Aborted", "you did not confirm; nothing was changed", BAD, {})
        raise click.exceptions.Exit(BAD) from error


def sentence_of(error: HabeatError, options: Mapping[str, str] | None = None) -> str:
    """The error's text, with options and advice for the command line in place of Python's."""
    text = str(error)
    if isinstance(error, ValidationError):
        option = (options or {}).get(error.field)
        if option:
            text = text.replace(f"invalid {error.field}", f"invalid {option}", 1)
    elif isinstance(error, EntryExists):
        text = text.replace(
            "use replace=True or update()",
            f"give --replace, or change it with: {EXAMPLE}habeat update {quoted(error.entry)}",
        )
    elif isinstance(error, RevisionConflict):
        text = text.replace("read it again", f"see: {EXAMPLE}habeat show {quoted(error.entry)}")
    elif isinstance(error, CallTimeout):
        done = f" ({error.done})" if error.done else ""
        text = (
            f"the command did not finish within {error.seconds:g} s{done}: request less, for "
            "example with --prefix, --since or --until"
        )
    elif isinstance(error, SettingsError) and error.setting == "habeat_redis_url":
        text += "" if _is_app_given() else NO_APP
    return as_typed(printable(text))


def _is_app_given() -> bool:
    """Whether the command line or the environment names an app."""
    return bool(app_given(sys.argv[1:], os.environ.get("CELERY_APP") or os.environ.get("APP")))


def quoted(name: str) -> str:
    """The name of an entry as a word of the shell."""
    return shlex.quote(name)


def suggested(words: str) -> str:
    """The command line that runs habeat with these words for the present app."""
    return as_typed(f"{EXAMPLE}habeat {words}")


def as_typed(text: str) -> str:
    """`text` with the app's name as it was given to ``celery -A``, so advice can be followed."""
    app = app_given(sys.argv[1:], os.environ.get("CELERY_APP") or os.environ.get("APP"))
    return text.replace(EXAMPLE, f"celery -A {app} ") if app else text


def app_given(argv: Sequence[str], fallback: str | None = None) -> str:
    """The value of ``-A`` or ``--app`` on this command line; "" if there is none to repeat."""
    words = iter(argv)
    found = fallback or ""
    for word in words:
        if word in ("-A", "--app"):
            found = next(words, "")
        elif word.startswith("--app="):
            found = word.removeprefix("--app=")
        elif word.startswith("-A"):
            found = word[2:].removeprefix("=")
        elif word == "habeat":
            break
    return found if found.isprintable() and " " not in found else ""


def _facts(error: HabeatError) -> dict[str, Any]:
    found = {name: getattr(error, name) for name in _FACTS if getattr(error, name, None)}
    if isinstance(error, BulkError):
        found["errors"] = {name: str(each) for name, each in error.errors.items()}
    return found


def _say_json(kind: str, sentence: str, status: int, facts: dict[str, Any]) -> None:
    error = {"kind": kind, "message": sentence, **facts, "exit_status": status}
    click.echo(printable_json({"error": error}))
