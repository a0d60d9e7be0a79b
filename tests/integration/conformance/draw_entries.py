"""Draws calls of a Client and of reconciling: write, remove, rename, read, request, drop."""

from __future__ import annotations

import json

from tests.integration.conformance.hand import EVERY_MS, NAMES, REQUESTS, Hand
from tests.integration.conformance.steps import KEYS, Word

Words = tuple[Word, ...]

MARKS = (b"c1:1", b"c1:2", b"c2:1", b"c3:1")


def _definition(hand: Hand) -> bytes:
    return json.dumps({"v": 1, "rev": hand.chance.randrange(99)}).encode()


def _fence(hand: Hand) -> Words:
    token, ttl_ms, known = hand.fence()
    token = token if hand.odds(0.8) else b"1:stranger"
    return ("", 0, 0) if hand.odds(0.6) else (token, ttl_ms, known)


def _mark(hand: Hand) -> Words:
    """Mostly none; else one of a few, so that some come twice and some are closed."""
    return ("", 0) if hand.odds(0.6) else (hand.one(MARKS), hand.one((1_500, 20_000)))


def _cursor_seen(hand: Hand, name: bytes) -> bytes:
    return hand.view.cursor_of(name) if hand.odds(0.4) else b""


def _pause_seen(hand: Hand, name: bytes) -> Word:
    if hand.odds(0.6):
        return ""
    raw = hand.view.hash(KEYS.paused).get(name)
    return "-" if raw is None or hand.odds(0.1) else hand.view.digest(raw)


def _written(hand: Hand, name: bytes) -> Words:
    view = hand.view
    digest: Word = view.digest_of(name) if hand.odds(0.93) else hand.one(("", "0" * 40))
    cursor = hand.grid()
    position: Words = (cursor, cursor + EVERY_MS, cursor + EVERY_MS + hand.one((0, 0, 30)))
    if not hand.odds(0.85):
        position = hand.one(((cursor, "", ""), ("", "", "")))
    pause = '{"reason": "x", "moving_to": "b"}' if hand.now_ms % 2 else '{"reason": "x"}'
    lost: Words = ("", "", 0, 0, 0)
    if digest and hand.odds(0.3):
        lost = ("skipped", "edited", cursor - EVERY_MS, cursor, 2)
    return (
        name, digest, _cursor_seen(hand, name), _pause_seen(hand, name),
        _definition(hand) if hand.odds(0.9) else b"",
        hand.one(("", "", "-", pause)), hand.one(("", hand.now_ms + 700)),
        hand.one(("0", "1")), *position, *lost,
    )  # fmt: skip


def _logged(count: int) -> Words:
    """What the change log needs: who, in which way, and the fields of each entry."""
    return ("ann", "api", *(f'{{"n": [1, {at}]}}' for at in range(count)))


def write(hand: Hand) -> Words:
    missing = [name for name in NAMES if name not in hand.view.entries]
    first = hand.one(missing) if missing and hand.odds(0.6) else hand.name()
    names = [first, *(hand.name() for _ in range(hand.one((0, 0, 1, 2))))]
    words = [word for name in names for word in _written(hand, name)]
    bound: Words = ("", "")
    if hand.odds(0.3):
        bound = (hand.one(("", "a", "b@")), hand.one((0, 1, 2, 9)))
    return (*_fence(hand), *_mark(hand), len(names), *words, *bound, *_logged(len(names)))


def remove(hand: Hand) -> Words:
    names = [hand.name() for _ in range(hand.one((1, 1, 2)))]
    words: list[Word] = []
    for name in names:
        digest = hand.view.digest_of(name) if hand.odds(0.9) else "0" * 40
        lost: Words = hand.one(((0, 0, 0), (hand.grid(), hand.grid(), 3)))
        words += [name, digest, _cursor_seen(hand, name), "removed", *lost]
    return (*_fence(hand), *_mark(hand), len(names), *words, *_logged(len(names)))


def rename(hand: Hand) -> Words:
    view, old = hand.view, hand.name()
    if hand.odds(0.6):
        old = next((name for name in NAMES if view.asked_for(name)), old)
    missing = [name for name in NAMES if name not in view.entries]
    new = hand.one(missing) if missing and hand.odds(0.8) else hand.one(NAMES)
    moved = view.asked_for(old) or (list(view.requests) if hand.odds(0.2) else [])
    orders: list[Word] = []
    for identity in moved:
        digest = view.digest(view.requests[identity]) if hand.odds(0.8) else "0" * 40
        orders += [identity, digest, b"anew " + new]
    due: Word = view.due.get(old, b"") if hand.odds(0.8) else hand.grid()
    total = len(view.requests) + (0 if hand.odds(0.95) else 1)
    digest = view.digest_of(old) if hand.odds(0.95) else ""
    return (
        *_mark(hand), old, digest, _cursor_seen(hand, old), new, _definition(hand), due,
        total, len(moved), *orders, *_logged(1),
    )  # fmt: skip


def adopt(hand: Hand) -> Words:
    missing = [name for name in NAMES if name not in hand.view.entries]
    new = missing if missing and hand.odds(0.8) else list(NAMES)
    words: list[Word] = []
    for name in new[: hand.one((1, 1, 2))]:
        cursor = hand.grid()
        paused: Words = hand.one((("", ""), ('{"reason": "x"}', ""), ("{}", hand.now_ms + 700)))
        slots: Words = hand.one((("", ""), (cursor + EVERY_MS, cursor + EVERY_MS)))
        fired: Words = hand.one((("", 0), (cursor, 7)))
        words += [name, _definition(hand), *paused, cursor, *slots, *fired, "adopted"]
    return (*_mark(hand), len(words) // 10, *words)


def read(hand: Hand) -> Words:
    return (*NAMES, "nobody")[: hand.one((0, 1, 5))]


def names(hand: Hand) -> Words:
    return (hand.one(("", "", "a", "b@")), hand.one(("", "", *NAMES)), hand.one((1, 2, 50)))


def count(hand: Hand) -> Words:
    return (hand.one(("", "a", "b@", "é")),)


def reindex(hand: Hand) -> Words:
    if hand.odds(0.5):
        return ("entries", hand.one(("", "0")), hand.one((1, 50)))
    return ("names", hand.one(("", *NAMES)), hand.one((1, 2, 50)))


def trace(hand: Hand) -> Words:
    name = hand.name()
    newest = hand.view.hash(f"{KEYS.base}ledger_last").get(name, b"")
    begin = hand.one((b"", b"", newest, b"1-1", b"garbage"))
    return (name, begin, hand.one((0, hand.now_ms - 2_000)), hand.one((1, 3, 50)))


def recall(hand: Hand) -> Words:
    return (hand.one(MARKS), hand.one((1_500, 20_000)))


def request(hand: Hand) -> Words:
    mark: Words = hand.one(((), ("",), ("m1",), ("m2",)))
    order = hand.one((b'{"n": 1}', b'{"n": 3}'))
    return (hand.one(REQUESTS), order, hand.one((1_500, 20_000)), hand.name(), *mark)


def drop(hand: Hand) -> Words:
    identity = hand.one([*hand.view.requests] or [*REQUESTS])
    raw = hand.view.requests.get(identity, b"")
    digest = hand.view.digest(raw) if hand.odds(0.8) else "0" * 40
    return (*hand.fence(), identity, digest, hand.name(), hand.now_ms, "why")


def declaration(hand: Hand) -> Words:
    """The plain command by which a replica declares names."""
    names = hand.chance.sample(NAMES, hand.one((1, 2, 3)))
    return ("SADD", KEYS.declared(hand.one(("old", "new"))), *names)
