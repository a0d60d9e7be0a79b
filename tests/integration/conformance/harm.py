"""Damage done to our keys by hand, as plain commands; most of it is undone afterwards.

Foreign types, records that cannot be read, definitions gone from under due entries, data
lost or restored. What a script does with it must be the same everywhere.
"""

from __future__ import annotations

from tests.integration.conformance.hand import NAMES, NONCES, Hand
from tests.integration.conformance.steps import KEYS, Word

Words = tuple[Word, ...]
Harm = tuple[list[Words], list[Words]]  # commands, and those that end it


def _foreign_type(hand: Hand) -> Harm:
    keys = (
        *KEYS.fixed[:-1],
        KEYS.last_records,
        *(KEYS.names,) * 3,
        KEYS.entry_lateness("a"),
        KEYS.declared("old"),
    )
    key = hand.one(keys)
    made: Words = ("LPUSH", key, "x") if key == KEYS.lease else ("SET", key, "a string")
    return [("DEL", key), made], [("DEL", key)]


def _meta(hand: Hand) -> Harm:
    field, worse, better = hand.one((
        *[("schema", "9", "1")] * 4, ("app", "other", "app"), ("heartbeat", "x", "7"),
        ("heartbeat", "3", ""), ("epoch", "x", "5"), ("epoch", "5", ""), ("lease_ttl", "x", "5000"),
        ("lease_ttl", "9000", ""), ("cluster", "elsewhere", ""), ("history_lost", "17", ""),
        ("config_generation", "x", "3"), ("claimed", "x", "0"), ("prune", "1", ""),
        *[("settled", "x", "0"), ("abandoned", "x", "0")] * 2, ("history_lost", "9" * 15, "0"),
        *[("leader", "5:of another release", "")] * 3, ("names", "1", ""),
    ))  # fmt: skip
    undone: list[Words] = [("HSET", KEYS.meta, field, better)] if better else []
    return [("HSET", KEYS.meta, field, worse)], undone


def _record(hand: Hand) -> Harm:
    name = hand.one(NAMES)
    token = hand.view.token or b"1:x"
    key, field, value = hand.one((
        (KEYS.inflight, name + b"@17", b"garbage"),
        (KEYS.inflight, b"no slot", b""),
        (KEYS.inflight, name + b"@x", token + b"\nx\n1\nk\nm"),
        (KEYS.inflight, name + b"@19#r1", token + b"\n2\n19\nwhy/at_least_once\nm\nn"),
        (KEYS.inflight, name + b"@21", b"5:gone\n1\n21\n/at_most_once\n"),
        (KEYS.state, name, b"x|y"), (KEYS.state, name, b""), (KEYS.state, name, b"-5|-4|||0"),
        (KEYS.requests, b"r1", b"not asked for"), (KEYS.dead, name + b"@3", b"of long ago"),
        (KEYS.configs, b"old", b"garbage"), (KEYS.configs, b"old", b"1|5|0"),
        (KEYS.configs, hand.one((b"old", b"new")), b"1|" + b"9" * 20 + b"|0"),
        (KEYS.untrusted, token, b"%d" % (hand.now_ms + 3_000)),
        (KEYS.untrusted, token, b"%d|3000" % (hand.now_ms + 3_000)),
        (KEYS.untrusted, b"5:gone", b"%d|2000" % (hand.now_ms + 60_000)),
    ))  # fmt: skip
    return [("HSET", key, field, value)], []


def _unbearable(hand: Hand) -> Harm:
    """Records on which a script ends with an error, half done."""
    key, field = hand.one((
        (KEYS.untrusted, b"1:x"), (KEYS.lateness, b"max"), (KEYS.lateness, b"0"),
        *[(KEYS.entry_lateness(name.decode()), b"max") for name in NAMES] * 4,
    ))  # fmt: skip
    return [("HSET", key, field, "x")], [("HDEL", key, field)]


def _due(hand: Hand) -> Harm:
    score = hand.one(
        (
            b"17",
            b"inf",
            b"-inf",
            b"17.5",
            b"-3",
            b"%d" % hand.now_ms,
            b"1e14",
            b"%d.25" % hand.now_ms,
        )
    )
    name = hand.one((*NAMES, b"ghost"))
    return [("ZADD", KEYS.due, score, name)], []


def _look(hand: Hand) -> Harm:
    """The indexes of requests and intents: garbled, or short of a member."""
    index, members = hand.one((
        (KEYS.requests_due, [*hand.view.requests, b"ghost"]),
        (KEYS.inflight_due, [*hand.view.inflight, b"ghost@1"]),
    ))  # fmt: skip
    member = hand.one(members)
    score = hand.one((b"-inf", b"inf", b"17.5", b"1e15", b"%d" % (hand.now_ms + 90_000)))
    command: Words = hand.one((("ZADD", index, score, member), ("ZREM", index, member)))
    return [command], []


def _lost(hand: Hand) -> Harm:
    name = hand.one(NAMES)
    gone: Words = hand.one((
        ("HDEL", KEYS.entries, name), ("HDEL", KEYS.state, name), ("ZREM", KEYS.due, name),
        *[("DEL", KEYS.meta)] * 3, ("DEL", KEYS.lease), ("DEL", KEYS.entries),
        ("DEL", KEYS.inflight),
        ("DEL", KEYS.ledger), ("DEL", KEYS.untrusted), ("DEL", KEYS.lateness),
        *[("HDEL", KEYS.meta, "cluster")] * 3, ("HDEL", KEYS.meta, "lease_ttl", "heartbeat"),
        ("SREM", KEYS.owned, *NAMES),
    ))  # fmt: skip
    return [gone], []


def _other(hand: Hand) -> Harm:
    name = hand.one(NAMES).decode()
    next_slot = hand.view.standing(name.encode()).slot or b"0"
    slot = hand.one((hand.grid(), int(next_slot)))
    command: Words = hand.one((
        ("SET", KEYS.lease, "garbage", "PX", 2_000),
        ("SET", KEYS.lease, f"8:{hand.one(NONCES)}", "PX", 3_000),
        ("SET", KEYS.lease, "9:zz"),
        ("PEXPIRE", KEYS.lease, hand.one((1, 0, -1, 100_000))),
        *[("SET", KEYS.fired(name, slot), "9:zz|settled", "PX", 4_000)] * 2,
        ("DEL", KEYS.fired(name, slot)),
        ("ZADD", KEYS.resume, "inf", name), *[("ZADD", KEYS.seen, "1e15", "of the future")] * 2,
        ("ZADD", KEYS.seen, 5, "long gone", hand.now_ms, hand.one(NONCES)),
        *[("ZADD", KEYS.resume, hand.now_ms, name)] * 2,
        ("SET", "not a list", "a string"), ("DEL", "queue"),
        ("PEXPIRE", KEYS.ledger, 2_000), ("PTTL", KEYS.lease),
    ))  # fmt: skip
    return [command], []


def _already_fired(hand: Hand) -> Harm:
    """The next slots of all entries have fired, but their cursors have not moved."""
    slots = [(name, hand.view.standing(name).slot) for name in hand.view.due]
    commands: list[Words] = [
        ("SET", KEYS.fired(name.decode(), int(slot)), "9:zz|settled", "PX", 9_000)
        for name, slot in slots
        if slot
    ]
    return commands, []


def _no_record(hand: Hand) -> Harm:
    """The keys in which the next firings leave their records have a foreign type."""
    keys = [
        KEYS.fired(name.decode(), int(slot))
        for name in hand.view.due
        if (slot := hand.view.standing(name).slot)
    ]
    made = [command for key in keys for command in (("DEL", key), ("LPUSH", key, "x"))]
    return made, [("DEL", key) for key in keys]


def _no_index(hand: Hand) -> Harm:
    """Keys of one entry or configuration that the scripts repair themselves."""
    histograms = [KEYS.entry_lateness(name.decode()) for name in NAMES]
    keys = hand.one((histograms, histograms, [KEYS.declared("old"), KEYS.declared("new")]))
    keys = [*keys, KEYS.shadow]
    return [command for key in keys for command in (("DEL", key), ("SET", key, "x"))], []


_KINDS = (
    *(_foreign_type,) * 3,
    *(_meta,) * 2,
    *(_record,) * 2,
    *(_unbearable,) * 2,
    *(_due,) * 2,
    _look,
    _lost,
    *(_other,) * 2,
    _already_fired,
    _no_record,
    *(_no_index,) * 2,
)


def draw(hand: Hand) -> Harm:
    """One of them."""
    kind = hand.one(_KINDS)
    return kind(hand)
