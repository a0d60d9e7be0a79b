"""Draws what the leader does with slots: claim, settle, skip, recover, mark, and set aside."""

from __future__ import annotations

from tests.integration.conformance.hand import DEDUP_MS, EVERY_MS, TTL_MS, Hand
from tests.integration.conformance.steps import KEYS, Word

Words = tuple[Word, ...]
QUEUES = ("queue", "queue", "other queue", "not a list", KEYS.entries)


def _commands(hand: Hand, message: bytes) -> list[Words]:
    """What a firing does to the broker: a push, with others around it; some of them fail."""
    push: Words = ("LPUSH", hand.one(QUEUES), message)
    extra = hand.one((
        (), (), (("SADD", "bindings", "x"),), (("LPUSH", hand.one(QUEUES), "a\nb", "c"),),
        (("SET", "probe", "here"),), (("HSET", "not a list", "f", "v"),), (("LPUSH", "queue"),),
        (("SET", "not a list", "x"),),
    ))  # fmt: skip
    return [push, *extra] if hand.odds(0.9) else [*extra]


def _of_the_schedule(hand: Hand) -> list[Word]:
    stand = hand.view.standing(hand.due_name())
    slot = int(stand.slot or stand.cursor or 0) or hand.grid()
    digest = stand.digest if hand.odds(0.95) else "0" * 40
    cursor: Word = stand.cursor if hand.odds(0.95) else b"5"
    follows = slot + EVERY_MS
    next_slot, next_due = hand.one(((follows, follows), (follows, follows + 30), ("", "")) * 2)
    effective = slot if hand.odds(0.9) else slot + hand.one((5_000, -3_000))
    reason = hand.one(("", "", "catch up", "misfire: late"))
    return [stand.name, digest, stand.due, cursor, slot, effective, next_slot, next_due, reason]


def _asked_for(hand: Hand) -> tuple[list[Word], Words]:
    requests = hand.view.requests or {b"r9": b"gone"}
    identity = hand.one([*requests])
    digest = hand.view.digest(requests[identity]) if hand.odds(0.9) else "0" * 40
    slot = hand.grid(2_000)
    again: Word = hand.one(("", hand.now_ms + 300))
    firing: list[Word] = [hand.name(), digest, slot, 0, slot, slot, "", again, "by hand"]
    return firing, (identity, hand.one(("", b'{"n": 2}')))


def _firing(hand: Hand, mode: str) -> list[Word]:
    request: Words = ("", "")
    if (hand.view.requests and hand.odds(0.3)) or hand.odds(0.02):
        words, request = _asked_for(hand)
    else:
        words = _of_the_schedule(hand)
    message = hand.message(b"x")
    delivery = hand.one(("at_least_once", "at_most_once"))
    commands = _commands(hand, message) if mode == "atomic" else []
    expires = hand.one(("", "", hand.now_ms + 40, hand.now_ms - 1, hand.now_ms + 5_000))
    words += [delivery, "" if mode == "atomic" else message, *request, expires, len(commands)]
    for command in commands:
        words += [len(command), *command]
    return words


def claim(hand: Hand) -> Words:
    mode = hand.one(("atomic", "outbox"))
    if hand.now_ms % 8 == 0:
        mode = "shadow"
    databases: Words = hand.one((("", ""), ("", ""), ("0", "0"), ("1", "0")))
    count = hand.one((1, 1, 2, 3))
    firings = [word for _ in range(count) for word in _firing(hand, mode)]
    dedup_ms = DEDUP_MS if hand.odds(0.97) else 0  # Redis refuses it, half way through
    return (*hand.fence(), dedup_ms, mode, *databases, hand.stamp, count, *firings)


def _intent(hand: Hand) -> tuple[bytes, bytes]:
    """The entry and the identity of a firing in flight; rarely of one that is not."""
    fields = [*hand.view.inflight]
    if fields and hand.odds(0.9):
        name, _, identity = hand.one(fields).rpartition(b"@")
        return name, identity
    return hand.name(), b"%d" % hand.grid() + hand.one((b"", b"#r1"))


#: What became of it, and why, if nothing was sent.
_UNSENT = (("", ""), ("", ""), ("", ""), ("skipped", "declined"), ("failed", "not sent: x"))


def settle(hand: Hand) -> Words:
    count = hand.one((1, 1, 3))
    words: list[Word] = []
    for _ in range(count):
        left_ms = hand.now_ms + hand.one((0, -50, 1_500, -10_000))
        words += [*_intent(hand), left_ms, hand.one((1, 2)), "queue"]
        words += _UNSENT[hand.now_ms % len(_UNSENT)]
    return (hand.token(), count, *words)


def mark(hand: Hand) -> Words:
    name, identity = _intent(hand)
    why = "at most once" if hand.odds(0.25) else ""
    pause = hand.one((0, 1_000, 60_000))
    cap = hand.one((1, 2, 3))
    return (*hand.fence(), name + b"@" + identity, cap, why, pause, "refused")


def recover(hand: Hand) -> Words:
    return (*hand.fence(), hand.one((1, 2, 1_000)), hand.one((1, 2, 500)))


def asked(hand: Hand) -> Words:
    return (*hand.fence(), hand.one((1, 2, 50)), hand.one((1, 2, 500)))


def circuits(hand: Hand) -> Words:
    words: list[Word] = []
    count = hand.one((1, 2))
    for _ in range(count):
        name = hand.name()
        digest = hand.view.digest_of(name) if hand.odds(0.8) else hand.one(("", "0" * 40))
        words += [name, digest, hand.one(('{"count": 5}', '{"count": 6}', ""))]
    return (*hand.fence(), count, *words)


def resend(hand: Hand) -> Words:
    dead = hand.view.hash(KEYS.dead)
    if not dead or hand.odds(0.1):
        return ("ghost@1", "0" * 40, "a", 1, "", "raw")
    field = hand.one([*dead])
    digest = hand.view.digest(dead[field]) if hand.odds(0.9) else "0" * 40
    request = field.removeprefix(b"request ") if field.startswith(b"request ") else b""
    return (field, digest, hand.name(), 1, request, b"\n0\n5\n/at_least_once\nm")


def put_off(hand: Hand) -> Words:
    queue = hand.one(("requests", "inflight"))
    fields = [*(hand.view.requests if queue == "requests" else hand.view.inflight), b"ghost"]
    until_ms = hand.now_ms + hand.one((0, 700, 60_000))
    return (*hand.fence(), queue, until_ms, *fields[: hand.one((1, 2, 9))])


def skip(hand: Hand) -> Words:
    count = hand.one((1, 1, 2))
    words: list[Word] = []
    for _ in range(count):
        stand = hand.view.standing(hand.due_name())
        slot = int(stand.slot or stand.cursor or 0)
        to_ms = slot + hand.one((0, 2)) * EVERY_MS
        follows: Words = hand.one(((to_ms + EVERY_MS,) * 2, ("", "")))
        digest = stand.digest if hand.odds(0.95) else ""
        words += [stand.name, digest, stand.due, stand.cursor, to_ms, *follows]
        words += ["missed", "misfire", slot, 3]
    return (*hand.fence(), hand.stamp, count, *words)


def defer(hand: Hand) -> Words:
    stand = hand.view.standing(hand.due_name())
    until: Word = hand.one((stand.due, hand.now_ms + 500, ""))
    return (*hand.fence(), stand.name, stand.digest, stand.due, until)


def quarantine(hand: Hand) -> Words:
    name = hand.one((hand.due_name(), hand.name()))
    large = f"large:{len(hand.view.entries.get(name, b''))}"
    others = ("0" * 40, large, "large:1")
    digest = hand.view.digest_of(name) if hand.odds(0.7) else hand.one(others)
    return (*hand.fence(), name, digest, "why")


def postpone(hand: Hand) -> Words:
    until: Word = hand.one((hand.now_ms + 500, hand.now_ms - 500, ""))
    return (*hand.fence(), hand.name(), until)


def mend(hand: Hand) -> Words:
    token: Word = hand.token() if hand.odds(0.8) else ""
    page = (
        ("0", 20) if hand.now_ms % 4 else ()
    )  # which costs no draw, so that plays stay as they are
    return (token, TTL_MS, hand.one(("old", "new", "fingerprint")), *page)
