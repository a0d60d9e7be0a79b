"""How wide text is on a terminal, and long lines broken between words.

A terminal breaks a long line in the middle of a word. Commands in backticks stay on one line if
they fit, so that they can be copied. In a pipe or a file, no line is broken.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata

#: A command in backticks with what adheres to it, or a word.
_PIECE = re.compile(r"[^\s`]*`[^`]+`\S*|\S+")


def terminal_columns() -> int | None:
    """The width of the terminal that stdout is; None if it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def columns_of_errors() -> int | None:
    """The width of the terminal that stderr is; None if it is none."""
    if not sys.stderr.isatty():
        return None
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:  # it says that it is a terminal, and has no size
        return None


def wrapped(text: str, columns: int | None, indent: int = 0) -> str:
    """`text` with line breaks; further lines begin with `indent` spaces."""
    if columns is None or width_of(text) <= columns:
        return text
    lines = [text[: len(text) - len(text.lstrip())]]
    for number, piece in enumerate(_PIECE.findall(text)):
        room = columns - width_of(lines[-1]) - 1
        if number and width_of(piece) > room and lines[-1].strip():
            lines.append(" " * indent + piece)
        else:
            lines[-1] += f" {piece}" if number else piece
    return "\n".join(lines)


def width_of(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return len(text) if text.isascii() else sum(map(width_of_character, text))


def width_of_character(char: str) -> int:
    """How many columns a character takes: none, one or two."""
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
