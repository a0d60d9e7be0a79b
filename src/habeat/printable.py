"""Text from elsewhere, made safe to print: one line, bounded, with nothing that acts on a terminal.

Names, descriptions, reasons, error texts and stored values come from users, from their tenants and
from whoever can write to Redis. A newline in one of them would forge a log line, ESC would reach
the terminal, a bidirectional mark would change the order of what is read, and a lone surrogate
cannot be encoded at all. Each of these appears as its Python escape instead (``\\n``, ``\\x1b``,
``\\u202e``), as in `repr`. Everything printed goes through this file; stored data stays as it is.

Values of arguments and headers are never printed. An error names the place, as in
``kwargs["token"]`` (`place`), and the type of what is there (`kind_of`).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping

#: Error texts and reasons are cut here; the start names the problem.
ERROR_MAX_CHARS = 500
VALUE_MAX_CHARS = 120

#: Shorter ones (numbers, flags) are no secrets, and would be found in every text.
LEAST_QUOTED_CHARS = 4
LEAVES_AT_MOST = 1_000
DEPTH_AT_MOST = 20

_CUT = "…"


def printable(text: str, max_chars: int | None = None) -> str:
    """`text` on one line with every character visible, cut to `max_chars` if that is given."""
    if max_chars is not None:
        text = text[: max_chars + 1]  # what is cut off needs no escaping
    if not text.isprintable():
        text = "".join(map(_visible, text))
    if max_chars is not None and len(text) > max_chars:
        text = text[: max_chars - len(_CUT)] + _CUT
    return text


def printable_json(value: object) -> str:
    """`value` as indented JSON that any terminal and any encoding can carry, and that reads back.

    Only strings of the value can hold such characters, so each becomes a JSON escape.
    """
    written = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    if written.replace("\n", "").isprintable():
        return written
    return "".join(
        char if char == "\n" or char.isprintable() else _in_json(char) for char in written
    )


def repr_of(value: object, max_chars: int = VALUE_MAX_CHARS) -> str:
    """The `repr` of a value that may be printed, cut; a `repr` that fails is named by its type."""
    if isinstance(value, str | bytes) and len(value) > max_chars:
        value = value[:max_chars]
        return printable(repr(value)) + _CUT
    try:
        return printable(repr(value), max_chars)
    except Exception:  # the class is the user's
        return f"a {type(value).__name__}"


class Kind(str):
    """The type or the size of a value, in place of the value; printed without quotes."""

    __slots__ = ()


def kind_of(value: object) -> Kind:
    """The type of a value that must not be printed, with its article; a `Kind` stays as it is."""
    if isinstance(value, Kind):
        return value
    name = printable(type(value).__name__, VALUE_MAX_CHARS)
    return Kind(f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}")


def place(root: str, path: Iterable[str | int] = ()) -> str:
    """Where in the arguments something is: ``kwargs["token"]``, ``args[0]["to"]``."""
    steps = (
        f"[{step}]" if isinstance(step, int) else f'["{printable(step, 80)}"]' for step in path
    )
    return root + "".join(steps)


def redacted(text: str, **roots: object) -> str:
    """`text` with the values of these arguments replaced by their places.

    Error texts of other people's code often quote what they were given, and are logged and stored.
    `roots` are by name: ``redacted(text, args=…, kwargs=…, headers=…)``. Values too short to
    identify anything stay.
    """
    leaves = itertools.islice(_leaves(roots), LEAVES_AT_MOST)
    quoted = {form: where for where, value in leaves for form in _forms(value) if form in text}
    for form in sorted(quoted, key=len, reverse=True):
        text = text.replace(form, f"<{quoted[form]}>")
    return text


def _leaves(roots: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The values inside, with their places; breadth first, no deeper than definitions go."""
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
    """How a text may quote the value."""
    if isinstance(value, str | bytes | int | float) and not isinstance(value, bool):
        for form in {str(value), repr(value), repr(value)[1:-1]}:
            if len(form) >= LEAST_QUOTED_CHARS:
                yield form


def _visible(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def _in_json(char: str) -> str:
    return json.dumps(char)[1:-1]
