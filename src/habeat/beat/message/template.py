"""A message with placeholders: which parts all messages of a shape share, and which differ.

Celery takes a few hundred microseconds to build a message, and for most entries it builds the same
message for each firing: same task, options and routing. So a template is learned from two messages
that Celery has built. One is for a firing that does not exist, with *marks* in place of everything
that belongs to a firing. The other is for a real firing. Where the first has a mark, the second
must have the real value. Everything else must be equal, except for a UUID that is new in each (the
delivery tag). The first message then predicts the second, byte for byte, and further messages are
made by filling in their values. `NotTaken` says what does not fit.

Nothing here depends on the format of a message, except that the body begins with kombu's own JSON
of (arguments, keyword arguments). That is compared, too.
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
    """Why Celery has to build the messages of this shape; a few words for `habeat show`."""


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one firing, as text."""

    name: str
    task_id: str
    slot: str
    epoch: str
    argsrepr: str
    kwargsrepr: str
    body: str


def marks() -> dict[str, str]:
    """Values that no real firing has. The `"` and the `é` show how text is escaped."""
    return {
        "name": f'"habeat é {secrets.token_hex(12)}',
        "task_id": str(uuid.uuid4()),
        "argsrepr": f'"args é {secrets.token_hex(12)}',
        "kwargsrepr": f'"kwargs é {secrets.token_hex(12)}',
    }


def tail_of_body(body: bytes | str, args: Any, kwargs: Any) -> str:
    """What follows the arguments in the body; NotTaken if the body does not begin with them."""
    begins = json.dumps((args, kwargs))[:-1]
    if not isinstance(body, str) or not body.startswith(begins):
        raise NotTaken("its body is not kombu's JSON of the arguments")
    return body[len(begins) :]


def body_of(args: Any, kwargs: Any, tail: str) -> str:
    """A body with these arguments."""
    return str(json.dumps((args, kwargs))[:-1]) + tail


class Template:
    """The commands that enqueue a message, with placeholders ("holes") in their words."""

    def __init__(self, marked: Sequence[Words], values: Values) -> None:
        self._commands = [[_pieces(word, values) for word in command] for command in marked]

    def foretells(self, real: Sequence[Words], values: Values) -> None:
        """Find the delivery tag by comparing with a real message; NotTaken if more differs."""
        if [len(command) for command in real] != [len(command) for command in self._commands]:
            raise NotTaken("the number of commands differs from message to message")
        for pieces, command in zip(self._commands, real, strict=True):
            for at, word in enumerate(command):
                pieces[at] = _compared(pieces[at], word, values)

    def fill(self, values: Values) -> list[list[bytes | str | int]]:
        """The commands that enqueue the message with these values."""
        tag = str(uuid.uuid4())
        return [
            [_filled(word, values, tag) if type(word) is _Holed else word for word in command]
            for command in self._commands
        ]


@dataclass(slots=True)
class _Holed:
    """One word of a command: hole i, of kind `holes[i]`, follows `texts[i]`."""

    texts: list[str]
    holes: list[tuple[str, Callable[[str], str]]]


def escaped(text: str) -> str:
    """The text as it appears inside a JSON string."""
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
    """A word, split at its marks."""
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
    """The pieces of a word, checked against the real message; UUIDs that differ become tags."""
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
                raise NotTaken(f"it contains its {kind} in an unknown form")
            rest = rest[len(value) :]
            holes.append((kind, encode))
    if rest:
        raise NotTaken("more than the firing's own values differs from message to message")
    return _Holed(texts, holes)


def _walk(text: str, rest: str) -> tuple[list[str], str]:
    """Match `text` against the start of `rest`.

    Returns the parts of `text` around UUIDs that differ, and what is left of `rest`.
    """
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
