"""Plays the same steps on two sides, and finds where they differ, in as few steps as possible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.integration.conformance.sides import ModelSide, Outcome, ServerSide, State
from tests.integration.conformance.steps import LISTEN, UNLISTEN, Step

#: What is compared of an error: the first of these that stands in it.
PHRASES = (
    "WRONGTYPE",
    "a foreign type",
    "hash value is not an integer",
    "not an integer or out of range",
    "min or max is not a float",
    "min or max not valid string range item",
    "not a valid float",
    "no such key",
    "invalid expire time",
    "wrong number of arg",
    "arguments must be strings or integers",
    "attempt to compare",
    "attempt to perform arithmetic",
    "attempt to concatenate",
    "attempt to index",
    "attempt to call",
    "bad argument",
    "invalid value (nil)",
    "limit must be a number",
    "readonly table",
    "nonexistent global variable",
    "syntax error",
    "unknown",
)

#: Words of one server for what others call otherwise, and garbled calls alone can cause.
_ALIKE = (
    ("DB index is out of range", "not an integer or out of range"),  # fakeredis, of ''
    ("Please specify at least one argument", "unknown"),  # redis.call() of no command
)


def plain(reply: Any) -> Any:
    """A reply with its errors reduced to the words that all servers share."""
    if isinstance(reply, Exception):
        return f"error: {_phrase(str(reply))}"
    if isinstance(reply, list):
        return [plain(item) for item in reply]
    if isinstance(reply, bytes) and reply.startswith(b"error "):
        return f"error: {_phrase(reply.decode('utf-8', 'backslashreplace'))}"
    return reply


def _phrase(text: str) -> str:
    for words, meant in _ALIKE:
        text = text.replace(words, meant)
    folded = text.lower()
    return next((phrase for phrase in PHRASES if phrase.lower() in folded), text)


def words_of(content: bytes) -> Iterator[bytes]:
    """The words of a key's content, see lua/state.lua."""
    at = 0
    while at < len(content):
        colon = content.index(b":", at)
        end = colon + 1 + int(content[at:colon])
        yield content[colon + 1 : end]
        at = end


@dataclass(frozen=True)
class Difference:
    """Two sides that differ, and the steps that led there."""

    names: tuple[str, str]
    steps: Sequence[Step]
    replies: tuple[Any, Any]
    states: tuple[State, State]

    def __str__(self) -> str:
        lines = [f"{' and '.join(self.names)} differ after {len(self.steps)} steps:"]
        lines += [f"  {step}" for step in self.steps]
        for name, reply in zip(self.names, self.replies, strict=True):
            lines.append(f"{name} answered {reply!r}")
        same = "the same state on both sides"
        return "\n".join([*lines, *(_differing_keys(self.names, self.states) or [same])])


def _differing_keys(names: tuple[str, str], states: tuple[State, State]) -> list[str]:
    lines = []
    for where in sorted(states[0].keys() | states[1].keys()):
        found = [state.get(where) for state in states]
        if found[0] == found[1]:
            continue
        lines.append(f"key {where.decode('utf-8', 'backslashreplace')}:")
        for name, held in zip(names, found, strict=True):
            lines.append(f"  {name}: {_described(held)}")
    return lines


def _described(held: tuple[bytes, bytes, int] | None) -> str:
    if held is None:
        return "not there"
    kind, content, ends_ms = held
    return f"{kind.decode()} {list(words_of(content))} ends at {ends_ms} ms"


def same(left: State, right: State) -> bool:
    """Whether two states are the same; sets and hashes may come in the order of a locale."""
    if left == right:
        return True
    if left.keys() != right.keys():
        return False
    return all(left[where] == right[where] or _alike(left[where], right[where]) for where in left)


def _alike(left: tuple[bytes, bytes, int], right: tuple[bytes, bytes, int]) -> bool:
    if left[0] != right[0] or left[2] != right[2] or left[0] not in (b"set", b"hash"):
        return False
    a, b = (list(words_of(content)) for content in (left[1], right[1]))
    if left[0] == b"set":
        return sorted(a) == sorted(b)
    return dict(zip(a[::2], a[1::2], strict=True)) == dict(zip(b[::2], b[1::2], strict=True))


def first_difference(
    model: ModelSide, server: ServerSide, steps: Iterable[Step], played: list[Outcome]
) -> Difference | None:
    """Where the server parts from the model, which has played these steps already."""
    steps = tuple(steps)
    server.reset()
    before = [State(), *(outcome.state for outcome in played)]
    overs = [over(state, step) for state, step in zip(before, steps, strict=False)]
    theirs = server.play(steps, overs)
    for count, (ours, other) in enumerate(zip(played, theirs, strict=True), 1):
        replies = (plain(ours.reply), plain(other.reply))
        if steps[count - 1].name in (LISTEN, UNLISTEN):
            replies = (None, None)
        if replies[0] != replies[1] or not same(ours.state, other.state):
            names, states = (model.name, server.name), (ours.state, other.state)
            return Difference(names, steps[:count], replies, states)
    return None


def over(state: State, step: Step) -> list[bytes]:
    """The keys that have expired when the step comes."""
    now_ms = step.at_us // 1_000
    return [where for where, held in state.items() if 0 <= held[2] < now_ms]


def shortest(
    difference: Difference, model: ModelSide, server: ServerSide, budget: int = 2_000
) -> Difference:
    """Leave out steps, ever smaller runs of them, as long as the sides still differ."""

    def tried(steps: Sequence[Step]) -> Difference | None:
        nonlocal budget
        budget -= 1
        model.reset()
        return first_difference(model, server, steps, [model.play(step) for step in steps])

    return _shrunk(difference, tried, lambda: budget > 0)


def _shrunk(
    found: Difference,
    tried: Callable[[Sequence[Step]], Difference | None],
    go_on: Callable[[], bool],
) -> Difference:
    size = len(found.steps) // 2
    while size and go_on():
        at, before = 0, len(found.steps)
        while at < len(found.steps) and go_on():
            rest = (*found.steps[:at], *found.steps[at + size :])
            shorter = tried(rest) if rest else None
            found, at = (shorter, at) if shorter else (found, at + size)
        size = size // 2 if len(found.steps) == before or size > 1 else size
    return found
