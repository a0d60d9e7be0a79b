"""Draws the election's calls of replicas: acquire, steal, look, release, register, tick."""

from __future__ import annotations

from tests.integration.conformance.hand import NONCES, TTL_MS, Hand
from tests.integration.conformance.steps import KEYS, Word

Words = tuple[Word, ...]
FINGERPRINTS = ("old", "new")


def _claim(hand: Hand) -> Words:
    """App, cluster and what a survivor knows; now and then of a timeline that was lost."""
    view = hand.view
    cluster: Word = hand.one(("", view.meta.get(b"cluster", b""), "elsewhere", "elsewhere"))
    epoch = hand.one((0, view.epoch, view.epoch, view.epoch + 10**6))
    heartbeat = hand.one((0, view.heartbeat, view.heartbeat, view.heartbeat + 100))
    app = "other" if view.meta.get(b"app") == b"app" and hand.odds(0.03) else "app"
    answered_ms = hand.one((0, hand.now_ms - 700, hand.now_ms + 60_000))
    return (app, "fresh", cluster, epoch, heartbeat, answered_ms)


def acquire(hand: Hand) -> Words:
    mine = hand.view.nonce
    nonce: Word = mine if mine and hand.odds(0.5) else hand.one(NONCES)
    return (nonce, TTL_MS, *_claim(hand))


def steal(hand: Hand) -> Words:
    view = hand.view
    others = [nonce for nonce in NONCES if nonce.encode() != view.nonce or hand.odds(0.1)]
    beat = view.meta.get(b"heartbeat", b"0") if hand.odds(0.85) else b"1"
    nonce, claim, cause = hand.one(others), _claim(hand), hand.one(("crash", "stuck"))
    return (
        nonce,
        TTL_MS,
        *claim,
        "wedged" if hand.now_ms % 3 == 0 else cause,
        hand.token(),
        beat,
    )


def release(hand: Hand) -> Words:
    token = hand.token() if hand.odds(0.6) else hand.one((b"", b"1:stranger"))
    return (token, token.partition(b":")[2])


def event(hand: Hand) -> Words:
    at_ms = hand.now_ms
    since_ms = at_ms - hand.one((100, 100, 9_000, 60_000))
    kind, subject = hand.one(("", "seen", "seen", "begin", "end")), hand.one(("redis", "broker"))
    who = (hand.one(NONCES), "host", 1, hand.one(("", 5)))
    return ("redis_unavailable", *who, since_ms, at_ms, "unreachable", "refused", kind, subject)


def health(hand: Hand) -> Words:
    return (1_000, 61_000, 5_000, hand.one((1, 20)), hand.one((1, 50)), 50, 15_000)


def observe(hand: Hand) -> Words:
    return ()


def tick(hand: Hand) -> Words:
    ends: Words = (hand.one((0, 500)),)
    if hand.odds(0.2):  # a loss of data is suspected
        ends += (0, hand.one((0, hand.now_ms - 700, hand.now_ms + 60_000)))
    age_ms, length = hand.one(((10**9, 200), (10**9, 40), (60_000, 200), (3_000, 30)))
    dead: Words = hand.one(((10**9, 100), (10**9, 1), (2_000, 100)))
    if len(ends) == 1:
        ends += (0, "")
    most_bytes = hand.one((60_000, 60_000, 15))
    return (
        *hand.fence(),
        hand.one((0, 2, 10)),
        age_ms,
        length,
        *ends,
        *dead,
        most_bytes,
        hand.stamp,
    )


def control(hand: Hand) -> Words:
    fields = hand.view.hash(f"{KEYS.base}controls")
    field = hand.one((b"step_down", b"pause", b"hold"))
    stored = fields.get(field, b"")
    asked = hand.view.token + b"|" + hand.one(NONCES).encode() + b"|1|me"
    value = asked if field == b"step_down" else hand.one((b"", b"{}", b"[]"))
    digest = hand.view.digest(stored) if stored and hand.odds(0.9) else ""
    words = (hand.one(("s1", "s2", "s3")), field, digest, value, hand.one((1, 500)), "changed")
    if field == b"step_down":
        return (*words, "me", "cli", "", "", "", 0, "", "")
    event = "schedule_paused" if field == b"pause" else ""
    return (*words, "me", "cli", "changed", "{}", event, hand.now_ms, "", "by me (cli)")


def register(hand: Hand) -> Words:
    fingerprint = hand.one(FINGERPRINTS)
    declared = len(hand.view.members(KEYS.declared(fingerprint)))
    names = declared if hand.odds(0.8) else declared + 1
    nonce, info, own = hand.one(NONCES), hand.one(("{}", '{"pid": 1}')), hand.one((0, 1, 2, 99))
    age_ms = {0: 0, 1: 3_000, 2: 10**9}.get(own, 0)
    window_ms, forgotten_ms = (2_000, 6_000) if info == "{}" else (10**7, 100)
    return nonce, info, window_ms, fingerprint, forgotten_ms, names, own, age_ms


def prune(hand: Hand) -> Words:
    token, ttl_ms, known = hand.fence()
    known += hand.odds(0.2)  # it is drawn seldom
    return (token, ttl_ms, known, hand.one((4_000, 60_000)), hand.one((0, 1, 10)))


def sweep(hand: Hand) -> Words:
    token, ttl_ms, known = hand.fence()
    known += hand.odds(0.2)  # it is drawn seldom
    return (token, ttl_ms, known, hand.one((1, 10)), 5_000, 3)


def samehost(hand: Hand) -> Words:
    return (hand.one(("0", "1")), "0", hand.one(("probe", "queue", "not a list", "nothing")))
