"""Make untrusted text safe to print: one line, bounded, without terminal control characters.

Names, descriptions, reasons, error texts and stored values come from users, from their tenants and
from anyone who can write to Redis. A newline in one of them would forge a log line, ESC would reach
the terminal, a bidirectional mark would change the reading order, and a lone surrogate cannot be
encoded at all. Each of these is printed as its Python escape (``\\n``, ``\\x1b``, ``\\u202e``), as
in `repr`. Everything printed goes through this file; stored data stays unchanged.

Values of arguments and headers are never printed. An error names the place, as in
``kwargs["token"]`` (`place`), and the type of the value (`kind_of`).
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

#: Error texts and reasons are cut to this length; the start names the problem.
ERROR_MAX_CHARS = 500
VALUE_MAX_CHARS = 120

#: Shorter values (numbers, flags) are not secret, and would match in almost any text.
LEAST_QUOTED_CHARS = 4
LEAVES_AT_MOST = 1_000
DEPTH_AT_MOST = 20

_CUT = "…"
#: A password in a URL. It may contain anything but a blank; the last @ ends it.
_PASSWORD = re.compile(r"(://[^\s:@/]{0,200}:)[^\s]{1,1000}@")


def printable(text: str, max_chars: int | None = None) -> str:
    """`text` on one line with every character visible, cut to `max_chars` if given."""
    if max_chars is not None:
        text = text[: max_chars + 1]  # escaping the rest would be wasted work
    if not text.isprintable():
        text = "".join(map(_visible, text))
    if max_chars is not None and len(text) > max_chars:
        text = text[: max_chars - len(_CUT)] + _CUT
    return text


def printable_json(value: object) -> str:
    """`value` as indented JSON that is safe for any terminal and encoding, and parses back.

    Unprintable characters can occur only inside strings, so each becomes a JSON escape.
    """
    written = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    if written.replace("\n", "").isprintable():
        return written
    return "".join(
        char if char == "\n" or char.isprintable() else _in_json(char) for char in written
    )


def plural(count: int, noun: str, many: str = "") -> str:
    """A count and its noun: "1 entry", "3 entries"; `many` is for plurals without a plain s."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"


def repr_of(value: object, max_chars: int = VALUE_MAX_CHARS) -> str:
    """The `repr` of a printable value, cut to `max_chars`; its type if `repr` itself fails.

    A datetime is shown as people write it.
    """
    if isinstance(value, str | bytes) and len(value) > max_chars:
        value = value[:max_chars]
        return printable(repr(value)) + _CUT
    if isinstance(value, datetime):
        return str(value)
    try:
        return printable(repr(value), max_chars)
    except Exception:  # a user's class may raise anything
        return f"a {type(value).__name__}"


class Shown(str):
    """A text that is printable and bounded wherever it is formatted, as `logging` does.

    For code that is not habeat's and logs a name: its value stays unchanged.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return printable(str.__str__(self), ERROR_MAX_CHARS)


class Kind(str):
    """The type or size of a value, shown instead of the value; printed without quotes."""

    __slots__ = ()


def kind_of(value: object) -> Kind:
    """The type of a secret value, with its article; a `Kind` is returned unchanged."""
    if isinstance(value, Kind):
        return value
    name = printable(type(value).__name__, VALUE_MAX_CHARS)
    return Kind(f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}")


def place(root: str, path: Iterable[str | int] = ()) -> str:
    """The path to a value in the arguments: ``kwargs["token"]``, ``args[0]["to"]``."""
    steps = (
        f"[{step}]" if isinstance(step, int) else f'["{printable(step, 80)}"]' for step in path
    )
    return root + "".join(steps)


def redacted(text: str, **roots: object) -> str:
    """`text` with the values of these arguments replaced by their paths.

    Error texts from other code often quote their arguments, and habeat logs and stores those texts.
    `roots` are named: ``redacted(text, args=…, kwargs=…, headers=…)``. Values too short to
    identify anything stay.
    """
    leaves = itertools.islice(_leaves(roots), LEAVES_AT_MOST)
    quoted = {form: where for where, value in leaves for form in _forms(value) if form in text}
    for form in sorted(quoted, key=len, reverse=True):
        text = text.replace(form, f"<{quoted[form]}>")
    return text


def without_passwords(text: str) -> str:
    """`text` with the passwords of URLs replaced: ``amqp://user:**@host``."""
    return _PASSWORD.sub(r"\1**@", text)


def _leaves(roots: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The values inside, with their paths; breadth first, at most as deep as definitions go."""
    level: list[tuple[str, object]] = list(roots.items())
    for _ in range(DEPTH_AT_MOST):
        inside: list[tuple[str, object]] = []
        for where, value in level:
            if isinstance(value, Mapping):
                inside += ((place(where, [str(key)]), each) for key, each in value.items())
            elif isinstance(value, list | tuple | set | frozenset):
                inside += ((place(where, [at]), each) for at, each in enumerate(value))
            else:
                yield where, value
        level = inside


def _forms(value: object) -> Iterator[str]:
    """The forms in which a text may quote the value."""
    if isinstance(value, str | bytes | int | float) and not isinstance(value, bool):
        for form in {str(value), repr(value), repr(value)[1:-1]}:
            if len(form) >= LEAST_QUOTED_CHARS:
                yield form


def _visible(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def _in_json(char: str) -> str:
    return json.dumps(char)[1:-1]
