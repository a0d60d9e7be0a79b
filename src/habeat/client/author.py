"""Who uses a client: what the caller says, or the operating system's name of this process' user."""

from __future__ import annotations

import getpass
import os
from typing import Any

from habeat.core.change_record import BY_CHARS_MAX, Author
from habeat.errors import ValidationError
from habeat.printable import printable


def author_of(by: Any) -> Author:
    """The author for the argument `by`; without one, the user of this process.

    A text is made printable and cut, and never refused: web applications pass on what their users
    call themselves.
    """
    if by is None:
        return Author(_named(system_user()))
    if isinstance(by, Author):
        return Author(_named(by.by), by.way)
    if not isinstance(by, str):
        raise ValidationError("by", by, "the name of who makes the changes, a string")
    return Author(_named(by))


def system_user() -> str:
    """The name of the user that this process runs as; its number if it has no name."""
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name
    except (ImportError, KeyError):
        pass
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # before 3.13, it raises whatever pwd does
        return f"uid {os.geteuid()}" if hasattr(os, "geteuid") else ""


def _named(by: str) -> str:
    return printable(by, BY_CHARS_MAX)
