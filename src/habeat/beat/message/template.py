"""A message with holes: what is the same in every message of a shape, and what is not.

Celery takes a few hundred microseconds to build a message, and for the firings of most entries
it builds the same one again: same task, options and routing. So a template is learned from two
messages that Celery has built: one for a firing that does not exist, with *marks* in place of
everything that a firing brings along, and one for a real firing. What was a mark in the first
must be the real value in the second; all else must be the same, except a UUID that is fresh in
each (the delivery tag). Then the second has been foretold from the first, byte for byte, and
others are made by filling in their values. Whatever does not fit is told by `NotTaken`.

Nothing is known here of the format of a message, except that the body begins with kombu's own
JSON of (arguments, keyword arguments); that too is compared.
"""

from __future__ import annotations

import base64
import re
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any

from kombu.utils import json

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TAG = "tag"

Words = Sequence[bytes | str | int]


class NotTaken(Exception):
    """Why messages of this shape are left to Celery; a few words for a person."""


@dataclass(frozen=True, slots=True)
class Values:
    """What one firing brings along, as text."""

    name: str
    task_id: str
    slot: str
    epoch: str
    argsrepr: str
    kwargsrepr: str
    body: str


def marks() -> dict[str, str]:
    """Values that no real firing has. The quote and the letter show how text is escaped."""
    return {
        "name": f'"habeat é {secrets.token_hex(12)}',
        "task_id": str(uuid.uuid4()),
        "argsrepr": f'"args é {secrets.token_hex(12)}',
        "kwargsrepr": f'"kwargs é {secrets.token_hex(12)}',
    }


def tail_of_body(body: bytes | str, args: Any, kwargs: Any) -> str:
    """What follows the arguments in a body; NotTaken if it does not begin with them."""
    begins = json.dumps((args, kwargs))[:-1]
    if not isinstance(body, str) or not body.startswith(begins):
        raise NotTaken("its body is not kombu's JSON of the arguments")
    return body[len(begins) :]


def body_of(args: Any, kwargs: Any, tail: str) -> str:
    """The body of other arguments."""
    return str(json.dumps((args, kwargs))[:-1]) + tail


class Template:
    """The commands that enqueue a message, with holes in their words."""

    def __init__(self, marked: Sequence[Words], values: Values) -> None:
        self._commands = [[_pieces(word, values) for word in command] for command in marked]

    def foretells(self, real: Sequence[Words], values: Values) -> None:
        """Find the tag by comparing with a real message; NotTaken if anything else differs."""
        if [len(command) for command in real] != [len(command) for command in self._commands]:
            raise NotTaken("another number of commands each time")
        for pieces, command in zip(self._commands, real, strict=True):
            for at, word in enumerate(command):
                pieces[at] = _compared(pieces[at], word, values)

    def fill(self, values: Values) -> list[list[bytes | str | int]]:
        """The commands that enqueue the message of these values."""
        tag = str(uuid.uuid4())
        return [
            [_filled(word, values, tag) if type(word) is _Holed else word for word in command]
            for command in self._commands
        ]


@dataclass(slots=True)
class _Holed:
    """One word: `texts` around holes; hole i, of kind `holes[i]`, follows texts[i]."""

    texts: list[str]
    holes: list[tuple[str, Callable[[str], str]]]


def escaped(text: str) -> str:
    """As it stands inside a JSON string."""
    return encode_basestring_ascii(text)[1:-1]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _as_it_is(text: str) -> str:
    return text


_KINDS: Mapping[str, tuple[Callable[[str], str], ...]] = {
    "name": (escaped,),
    "task_id": (_as_it_is,),
    "slot": (_as_it_is,),
    "epoch": (_as_it_is,),
    "argsrepr": (escaped,),
    "kwargsrepr": (escaped,),
    "body": (_base64, escaped),
}


def _pieces(word: bytes | str | int, values: Values) -> Any:
    """A word cut at the marks in it."""
    if not isinstance(word, str):
        return word
    holes = {
        encode(getattr(values, kind)): (kind, encode)
        for kind, encodings in _KINDS.items()
        for encode in encodings
    }
    parts = re.split("(" + "|".join(map(re.escape, holes)) + ")", word)
    return _Holed(parts[::2], [holes[part] for part in parts[1::2]]) if len(parts) > 1 else word


def _compared(found: Any, word: bytes | str | int, values: Values) -> Any:
    """The same word of the real message, walked along the pieces; its fresh UUIDs are tags."""
    if type(found) is not _Holed:
        if found != word:
            raise NotTaken("more than the firing's own values differs from message to message")
        return found
    texts: list[str] = []
    holes: list[tuple[str, Callable[[str], str]]] = []
    rest = str(word)
    for at, text in enumerate(found.texts):
        cut, rest = _walk(text, rest)
        texts += cut
        holes += [(_TAG, _as_it_is)] * (len(cut) - 1)
        if at < len(found.holes):
            kind, encode = found.holes[at]
            value = encode(getattr(values, kind))
            if not rest.startswith(value):
                raise NotTaken(f"its {kind} stands in it in an unknown form")
            rest = rest[len(value) :]
            holes.append((kind, encode))
    if rest:
        raise NotTaken("more than the firing's own values differs from message to message")
    return _Holed(texts, holes)


def _walk(text: str, rest: str) -> tuple[list[str], str]:
    """Walk `text` along `rest`: the texts around UUIDs that differ, and what is left of `rest`."""
    real = rest[: len(text)]
    if real == text:
        return [text], rest[len(text) :]
    cut = [""]
    at = 0
    for ours in _UUID.finditer(text):
        theirs = real[ours.start() : ours.end()]
        if ours.group() == theirs or not _UUID.fullmatch(theirs):
            continue
        cut[-1] += text[at : ours.start()]
        cut.append("")
        at = ours.end()
        real = real[: ours.start()] + ours.group() + real[ours.end() :]
    if real != text:
        raise NotTaken("more than the firing's own values differs from message to message")
    cut[-1] += text[at:]
    return cut, rest[len(text) :]


def _filled(word: _Holed, values: Values, tag: str) -> str:
    parts = [word.texts[0]]
    for (kind, encode), text in zip(word.holes, word.texts[1:], strict=True):
        parts.append(tag if kind == _TAG else encode(getattr(values, kind)))
        parts.append(text)
    return "".join(parts)
