"""The scripts give the same replies on fakeredis as on a real server, for the same commands.

What makes two runs of a script differ is the time and nothing else; so the clock of both is a
table: `redis.call('TIME')` is answered from an argument in front of all others. The text of the
script is otherwise the shipped one, with one more exception: fakeredis' Lua has no
`redis.sha1hex` (the last test says so), so digests are a check sum written in Lua, on both sides.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import fakeredis
import pytest

from habeat.core.entry import Entry
from habeat.core.lateness import bucket_of
from habeat.core.schedule import Interval
from habeat.store.codec import encode
from habeat.store.keys import Keys
from habeat.store.scripting import script
from tests.servers.redis_server import Server

KEYS = Keys("habeat:conformance")
NAMES = ("a", "b@1", "c:2")
EVERY_MS = 1_000
START_MS = 1_750_000_000_000
SCRIPTS = (
    "acquire", "claim", "defer", "drop", "mark", "observe", "prune", "quarantine", "read",
    "recover", "register", "release", "remove", "request", "settle", "skip", "steal", "tick",
    "write",
)  # fmt: skip

OFTEN = ("claim", "write", "acquire", "settle", "recover", "mark", "tick", "skip") * 4
SELDOM = ("remove", "quarantine", "release", "steal", "defer")

CLOCK = """
local at = table.remove(ARGV, 1)
local real = redis
local redis = setmetatable({
  sha1hex = function(raw)
    local sum = 0
    for i = 1, #raw do
      sum = (sum + i * string.byte(raw, i)) % 2147483647
    end
    return string.format('%d-%.0f', #raw, sum)
  end,
  call = function(...)
    if ({...})[1] == 'TIME' then
      return {string.sub(at, 1, -7), string.sub(at, -6)}
    end
    return real.call(...)
  end,
}, {__index = real})
"""


def digest_of(raw: bytes) -> str:
    """What `sha1hex` above says."""
    return f"{len(raw)}-{sum(n * byte for n, byte in enumerate(raw, 1)) % 2147483647}"


class Side:
    """One of the two: a client, and what it answered."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def run(self, name: str, now_ms: int, args: list[Any]) -> Any:
        try:
            return self.client.eval(
                CLOCK + script(name).text, len(KEYS.fixed), *KEYS.fixed, now_ms * 1_000, *args
            )
        except Exception as error:
            return f"error: {type(error).__name__} {error}"

    def state(self) -> dict[Any, Any]:
        read: dict[bytes, Callable[[Any], Any]] = {
            b"string": self.client.get,
            b"hash": self.client.hgetall,
            b"set": self.client.smembers,
            b"list": lambda key: self.client.lrange(key, 0, -1),
            b"zset": lambda key: self.client.zrange(key, 0, -1, withscores=True),
            b"stream": lambda key: [fields for _, fields in self.client.xrange(key)],
        }
        return {key: read[self.client.type(key)](key) for key in self.client.scan_iter("*")}


class Play:
    """Draws commands: mostly sensible ones, with stale and foreign ones between."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now_ms = START_MS
        self.token = "0:nobody"
        self.known: dict[str, dict[str, Any]] = {}
        self.heartbeat = 0
        self.effects: list[Callable[[], None]] = []

    def next(self) -> tuple[str, list[Any]]:
        self.now_ms += self.chance.randrange(0, 400)
        self.effects = []
        name = self.chance.choice((*SCRIPTS, *OFTEN))
        if name in SELDOM and self.chance.random() < 0.7:
            name = "write"
        return getattr(self, "_" + name)(name)  # type: ignore[no-any-return]

    def _any_token(self) -> str:
        return self.token if self.chance.random() < 0.9 else "1:stranger"

    def _row(self) -> tuple[str, dict[str, Any]]:
        name = self.chance.choice(NAMES)
        return name, self.known.setdefault(name, {"digest": "", "cursor": 0, "slot": 0})

    def _acquire(self, name: str) -> tuple[str, list[Any]]:
        nonce = self.chance.choice(["aa", "bb"])
        return name, [nonce, 60_000, "app", "cluster", "", 0, 0]

    def _steal(self, name: str) -> tuple[str, list[Any]]:
        beat = self.heartbeat if self.chance.random() < 0.7 else 1
        cause = self.chance.choice(["stuck", "crash"])
        return name, ["cc", 60_000, "app", "cluster", "", 0, 0, cause, self._any_token(), beat]

    def _release(self, name: str) -> tuple[str, list[Any]]:
        token = self._any_token() if self.chance.random() < 0.3 else "1:stranger"
        return name, [token, token.partition(":")[2]]

    def _observe(self, name: str) -> tuple[str, list[Any]]:
        return name, []

    def _tick(self, name: str) -> tuple[str, list[Any]]:
        known = self.heartbeat if self.chance.random() < 0.9 else 10**6
        return name, [
            self._any_token(),
            60_000,
            self.chance.choice([0, 2, 10]),
            known,
            10**9,
            100,
            0,
        ]

    def _register(self, name: str) -> tuple[str, list[Any]]:
        fingerprint = self.chance.choice(["old", "new"])
        return name, ["aa", "{}", 15_000, fingerprint, 60_000, 0, self.chance.choice([0, 1])]

    def _write(self, name: str) -> tuple[str, list[Any]]:
        entry, row = self._row()
        at_ms = self.now_ms - self.chance.randrange(0, 3_000)
        definition = encode(Entry(entry, "t", Interval(EVERY_MS), rev=self.chance.randrange(99)))
        lost = ["skipped", "edited", at_ms - 5, at_ms, 2] if row["digest"] else ["", "", 0, 0, 0]
        words = [
            entry, row["digest"], "", definition, self.chance.choice(["", "-", '{"reason": "x"}']),
            "", self.chance.choice(["0", "1"]), at_ms, at_ms + 1, at_ms + 1, *lost,
        ]  # fmt: skip
        after = {"digest": digest_of(definition), "cursor": at_ms, "slot": at_ms + 1}
        self.effects = [lambda: row.update(after)]
        return name, ["", 0, 1, *words]

    def _claim(self, name: str) -> tuple[str, list[Any]]:
        mode = self.chance.choice(["atomic", "outbox"])
        firings: list[Any] = []
        count = self.chance.randrange(1, 4)
        for _ in range(count):
            entry, row = self._row()
            slot = row["slot"]
            follows = slot + EVERY_MS
            digest = row["digest"] if self.chance.random() < 0.9 else "0" * 40
            message = f"m {entry} {slot}"
            firings += [
                entry, digest, slot, row["cursor"], slot, slot, follows, follows, "",
                self.chance.choice(["at_least_once", "at_most_once"]), message, "", "",
                1, 3, "LPUSH", self.chance.choice(["queue", "queue", "not a list"]), message,
            ]  # fmt: skip
            after = {"cursor": slot, "slot": follows}
            self.effects.append(lambda row=row, after=after: row.update(after))
        return name, [self._any_token(), 60_000, 60_000, mode, "", "", count, *firings]

    def _settle(self, name: str) -> tuple[str, list[Any]]:
        entry, row = self._row()
        return name, [self._any_token(), 1, entry, row["cursor"], self.now_ms, 1]

    def _recover(self, name: str) -> tuple[str, list[Any]]:
        return name, [self._any_token(), 60_000, 1_000]  # which ones is a matter of hashing

    def _mark(self, name: str) -> tuple[str, list[Any]]:
        entry, row = self._row()
        why = self.chance.choice(["", "", "at most once"])
        return name, [self._any_token(), 60_000, f"{entry}@{row['cursor']}", 2, why]

    def _skip(self, name: str) -> tuple[str, list[Any]]:
        entry, row = self._row()
        slot = row["slot"]
        to_ms = slot + 2 * EVERY_MS
        words = [entry, row["digest"], slot, row["cursor"], to_ms, to_ms + 1, to_ms + 1]
        self.effects = [lambda: row.update(cursor=to_ms, slot=to_ms + 1)]
        return name, [self._any_token(), 60_000, 1, *words, "missed", "misfire", slot, 3]

    def _defer(self, name: str) -> tuple[str, list[Any]]:
        entry, row = self._row()
        until = self.chance.choice(["", row["slot"]])
        return name, [self._any_token(), 60_000, entry, row["digest"], row["slot"], until]

    def _quarantine(self, name: str) -> tuple[str, list[Any]]:
        entry, row = self._row()
        return name, [self._any_token(), 60_000, entry, row["digest"], "why"]

    def _read(self, name: str) -> tuple[str, list[Any]]:
        return name, [*NAMES, "nobody"]

    def _remove(self, name: str) -> tuple[str, list[Any]]:
        entry, row = self._row()
        words = [entry, row["digest"], "", "removed", row["slot"], row["slot"], 1]
        self.effects = [lambda: row.update(digest="")]
        return name, ["", 0, 1, *words]

    def _prune(self, name: str) -> tuple[str, list[Any]]:
        return name, [self._any_token(), 60_000, 60_000, 10]

    def _request(self, name: str) -> tuple[str, list[Any]]:
        return name, [self.chance.choice(["r1", "r2"]), "{}", 60_000, self._row()[0]]

    def _drop(self, name: str) -> tuple[str, list[Any]]:
        digest = digest_of(b"{}")
        return name, [self._any_token(), 60_000, "r1", digest, "a", self.now_ms, "why"]

    def learn(self, name: str, reply: Any) -> None:
        if name in ("acquire", "steal") and reply[0] in (b"won", b"mine"):
            self.token = reply[1].decode()
            self.heartbeat = int(reply[4])
        elif name == "tick" and reply[0] == b"ok":
            self.heartbeat = int(reply[2])
        elif name in ("claim", "skip") and reply[0] == b"ok":
            for effect, word in zip(self.effects, reply[2:], strict=True):
                if word == b"ok":
                    effect()
        elif name in ("write", "remove") and reply[0] == b"ok":
            self.effects[0]()


@pytest.fixture
def sides(valkey: Server) -> tuple[Side, Side]:
    fake = fakeredis.FakeRedis(server=fakeredis.FakeServer(), protocol=2)
    for client in (fake, valkey.admin):
        client.set("not a list", "a string")
    return Side(fake), Side(valkey.admin)


def sorted_pairs(reply: Any) -> Any:
    """HSCAN may show its fields in any order; SDIFF too."""
    if isinstance(reply, list) and len(reply) == 4 and isinstance(reply[3], list):
        fives = [tuple(reply[3][n : n + 5]) for n in range(0, len(reply[3]), 5)]
        return [*reply[:3], sorted(fives)]
    return reply


@pytest.mark.parametrize("seed", range(6))
def test_a_seeded_play_gives_the_same_replies_and_the_same_keys(
    sides: tuple[Side, Side], seed: int
) -> None:
    fake, real = sides
    play = Play(seed)
    played: list[tuple[str, Any]] = []
    whole: list[tuple[str, Any]] = []
    for step in range(250):
        name, args = play.next()
        ours = fake.run(name, play.now_ms, args)
        theirs = real.run(name, play.now_ms, args)
        if name == "recover":
            ours, theirs = sorted_pairs(ours), sorted_pairs(theirs)
        elif name == "prune" and isinstance(ours, list):
            ours, theirs = sorted(ours), sorted(theirs)
        elif name == "claim" and isinstance(ours, list):  # the wording of errors is the server's
            ours = [word.split(b"WRONGTYPE")[0] if b"error" in word else word for word in ours]
            theirs = [word.split(b"WRONGTYPE")[0] if b"error" in word else word for word in theirs]
        elif name == "observe":
            ours[1] = theirs[1] = 0  # what is left of the lease: the servers' own clocks
        elif name == "acquire" and ours[0] == b"held":
            ours[2] = theirs[2] = 0
        assert ours == theirs, f"step {step}: {name} {args} after {played[-5:]}"
        whole.append((name, theirs))
        played.append((name, ours[0] if isinstance(ours, list) and ours else ours))
        play.learn(name, theirs)
    assert len({name for name, _ in played}) > 12
    assert any(b"ok" in word[2:] for name, word in whole if name == "claim")
    left, right = fake.state(), real.state()
    for side in (left, right):
        untrusted = side.get(KEYS.untrusted.encode(), {})
        side[KEYS.untrusted.encode()] = set(untrusted)  # until when: the servers' own clocks
    assert left == right


def test_the_histogram_in_lua_is_the_one_in_python(valkey: Server) -> None:
    wanted = [0, 1, 255, 256, 257, 511, 512, 1_000, 4_095, 4_096, 59_999, 86_400_000, 10**10]
    chance = random.Random(5)
    wanted += [chance.randrange(10**9) for _ in range(300)]
    body = script("observe").text.split("-- A standby's look")[0]
    lua = body + "\nlocal found = {}\nfor i, late in ipairs(ARGV) do\n"
    lua += "  found[i] = int(bucket_of(tonumber(late)))\nend\nreturn found"
    found = valkey.admin.eval(lua, len(KEYS.fixed), *KEYS.fixed, *wanted)
    assert [int(bucket) for bucket in found] == [bucket_of(late) for late in wanted]


def test_what_fakeredis_lacks_is_known() -> None:
    """If this fails, fakeredis has learnt `sha1hex`: the suite can be made stricter."""
    fake = fakeredis.FakeRedis(protocol=2)
    assert fake.eval("return type(redis.sha1hex)", 0) == b"nil"
