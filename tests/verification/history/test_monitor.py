"""The recorder against real servers: what the shipped scripts do is clean, what broken ones do is
found, and what could not be seen is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import redis

from habeat.beat.message.send_path import iso
from habeat.core.entry import Misfire
from habeat.core.firing import Firing
from habeat.core.lease import Fence, Token
from habeat.entries.codec import digest_of, encode
from habeat.ports import Departed, Rendered
from habeat.ports import Lost as NotHeld
from habeat.ports.entries import Position, Write
from habeat.store import scripting
from tests.integration.scripts.bench import EVERY_MS, QUEUE, TTL_MS, Bench, Placed
from tests.support.servers.cluster import Cluster
from tests.support.servers.redis_server import Server, redis70_binary
from tests.verification.history.checker import judge
from tests.verification.history.events import (
    Arrival,
    Event,
    Expectation,
    Fault,
    Gap,
    Kind,
    Lost,
    ScriptEnd,
)
from tests.verification.history.events import Write as Written
from tests.verification.history.lines import parse
from tests.verification.history.monitor import Monitor

MakeServer = Callable[..., Server]


@pytest.fixture(params=["valkey", "redis70", "redis62"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def changed() -> Iterator[Callable[[str, str, str], None]]:
    """`changed(file, old, new)`: a shipped script with one place in it replaced."""
    real = scripting.source

    def change(name: str, old: str, new: str) -> None:
        def source(file: str) -> str:
            text = real(file)
            assert file != name or old in text, f"{name} has changed: {old!r} is gone"
            return text.replace(old, new, 1) if file == name else text

        scripting.source = source
        scripting.script.cache_clear()

    yield change
    scripting.source = real
    scripting.script.cache_clear()


class Scene:
    """A bench that is recorded."""

    def __init__(self, server: Server, monitor: Monitor | None = None) -> None:
        self.bench = Bench(server)
        base = self.bench.keys.base
        self.monitor = (monitor or Monitor(server.client, base, queues=[QUEUE])).start()

    def message(self, firing: Firing, attempt: int = 1) -> bytes:
        headers = {
            "id": firing.task_id("c"),
            "habeat_entry": firing.entry,
            "habeat_slot": iso(firing.slot_ms),
            "habeat_attempt": attempt,
        }
        return json.dumps({"headers": headers, "body": 'a "quoted" \\ é\n'}).encode()

    def claim(self, token: Token, placed: Placed, *, atomic: bool) -> list[str]:
        firing = Firing(placed.entry.name, placed.slot_ms, placed.slot_ms)
        result = self.message(firing)
        rendered = Rendered(result, [("LPUSH", QUEUE, result)])
        claim = self.bench.claim_of(placed, rendered=rendered)
        reply = self.bench.store.claim(Fence(token, TTL_MS), [claim], atomic=atomic)
        return [] if isinstance(reply, NotHeld) else list(reply.words)

    def send(self, placed: Placed, attempt: int = 1) -> None:
        firing = Firing(placed.entry.name, placed.slot_ms, placed.slot_ms)
        self.bench.admin.lpush(QUEUE, self.message(firing, attempt))

    def settle(self, token: Token, placed: Placed, attempt: int = 1) -> None:
        left = Departed(placed.entry.name, str(placed.slot_ms), self.bench.now_ms, attempt)
        self.bench.store.settle(token, [left])

    def recover(self, token: Token, placed: Placed, attempt: int) -> None:
        """Restamp, mark, send, settle."""
        self.bench.hasten()
        found = self.bench.store.recover(Fence(token, TTL_MS), 10)
        (intent,) = found.intents  # type: ignore[union-attr]
        assert self.bench.store.mark(Fence(token, TTL_MS), intent, 10, "", 0).attempt == attempt - 1
        self.send(placed, attempt)
        self.settle(token, placed, attempt)

    def problems(self, *faults: Fault, events: list[Event] | None = None) -> list[str]:
        recorded = self.monitor.stop() if events is None else events
        expectation = Expectation(
            self.bench.keys.base,
            TTL_MS * 1_000,
            atomic=True,
            slack_us=20_000,
            misses=False,
            tail_us=0,
        )
        return judge([*faults, *recorded], expectation).problems


def a_life(scene: Scene) -> None:
    """What the scripts can do, as it should be done."""
    bench = scene.bench
    first = bench.lead("aa")
    placed = bench.place("atomic", ago_ms=2 * EVERY_MS)
    assert scene.claim(first, placed, atomic=True) == ["ok"]
    assert scene.claim(first, placed, atomic=True) == ["mine settled"]
    outbox = bench.place("outbox@é#:", ago_ms=5)
    assert scene.claim(first, outbox, atomic=False) == ["ok"]
    scene.send(outbox)
    scene.settle(first, outbox)
    scene.settle(first, outbox)
    again = bench.place("again", ago_ms=5)
    scene.claim(first, again, atomic=False)
    bench.leases.release(first, first.nonce)
    second = bench.lead("bb")
    scene.recover(second, again, 2)
    skipped = bench.place("skipped", ago_ms=5, misfire=Misfire.SKIP, misfire_grace_ms=0)
    bench.store.skip(Fence(second, TTL_MS), [bench.skip_of(skipped)])
    buried = bench.place("buried", ago_ms=5)
    scene.claim(second, buried, atomic=False)
    bench.hasten()
    (intent,) = bench.store.recover(Fence(second, TTL_MS), 10).intents  # type: ignore[union-attr]
    bench.store.mark(Fence(second, TTL_MS), intent, 10, "at most once", 0)
    early = replace(buried, slot_ms=buried.slot_ms + EVERY_MS, cursor_ms=buried.slot_ms)
    assert scene.claim(second, early, atomic=True) != ["ok"]


def test_what_the_shipped_scripts_do_is_clean(server: Server) -> None:
    scene = Scene(server)
    a_life(scene)
    recorded = scene.monitor.stop()
    kinds = [type(event) for event in recorded]
    assert kinds.count(Arrival) == 3
    assert kinds.count(Gap) == kinds.count(Lost) == 0
    assert kinds.count(ScriptEnd) > 10
    assert scene.problems(events=recorded) == []


TOKEN = "local refused = refusal(token, ARGV[3])"
EARLY = "if NOW < tonumber(firing.effective)"
COUNT = "redis.call('HINCRBY', META, 'claimed', sent)"
EPOCH = "int(math.max(last + 1, NOW, known.epoch + 1))"
DEVICES = [
    pytest.param("claim.lua", TOKEN, "local refused", "I5: ", id="token"),
    pytest.param("claim.lua", EARLY, "if false", "I6: ", id="early"),
    pytest.param("claim.lua", COUNT, "", "I7: ", id="count"),
    pytest.param("claim.lua", "    push_all(ready)", "", "ledger: ", id="push"),
    pytest.param("common.lua", "  redis.call('HDEL', INFLIGHT, field)", "", "I7: ", id="intent"),
    pytest.param("settle.lua", "  record(name, slot, out", "  tostring(out", "I10: ", id="record"),
    pytest.param("skip.lua", "  record(name, first", "  tostring(first", "ledger: ", id="skip"),
    pytest.param("leadership.lua", EPOCH, "'1'", "I2: ", id="epoch"),
]


@pytest.mark.parametrize(("file", "old", "new", "found"), DEVICES)
def test_a_device_that_is_missing_is_found(
    valkey: Server,
    changed: Callable[[str, str, str], None],
    file: str,
    old: str,
    new: str,
    found: str,
) -> None:
    changed(file, old, new)
    scene = Scene(valkey)
    bench = scene.bench
    old_leader = bench.lead("aa")
    placed = bench.place("e", ago_ms=5)
    scene.claim(old_leader, placed, atomic=True)
    bench.leases.release(old_leader, "aa")
    new_leader = bench.lead("bb")
    stale = bench.place("stale", ago_ms=5)
    scene.claim(old_leader, stale, atomic=True)
    early = bench.place("early", ago_ms=-5_000)
    scene.claim(new_leader, early, atomic=True)
    outbox = bench.place("outbox", ago_ms=5)
    scene.claim(new_leader, outbox, atomic=False)
    scene.send(outbox)
    scene.settle(new_leader, outbox)
    bench.store.skip(Fence(new_leader, TTL_MS), [bench.skip_of(bench.place("s", ago_ms=5))])
    problems = scene.problems()
    assert any(problem.startswith(found) for problem in problems), problems


def test_edits_renamings_and_removals_are_read(valkey: Server) -> None:
    scene = Scene(valkey)
    bench = scene.bench
    token = bench.lead()
    placed = bench.place("old", ago_ms=5)
    scene.claim(token, placed, atomic=True)
    after = placed.slot_ms
    renamed = encode(replace(placed.entry, name="new"))
    words = ("", 0, "old", placed.digest, after, "new", renamed, after + EVERY_MS, 0, 0)
    assert bench.caller.run("rename", *words)[0] == b"ok"
    edited = replace(
        placed.entry, name="new", schedule=replace(placed.entry.schedule, every_ms=2_000)
    )
    now = bench.now_ms
    write = Write("new", digest_of(renamed), encode(edited), position=Position(now, None, None))
    assert bench.entries.write([write]) is None
    bench.caller.run(
        "remove", "", 0, 0, "", 0, 1, "new", digest_of(encode(edited)), "", "removed", 0, 0, 0
    )
    recorded = scene.monitor.stop()
    assert scene.problems(events=recorded) == []
    # The same, and the renaming has moved the cursor.
    for at, event in enumerate(recorded):
        if isinstance(event, Written) and event.words[0] == b"HSET" and event.words[2] == b"new":
            moved = event.words[3].replace(b"%d|" % after, b"%d|" % (after + EVERY_MS), 1)
            recorded[at] = event._replace(words=(*event.words[:3], moved))
    assert any("renamed to new" in problem for problem in scene.problems(events=recorded))


# -- what a server does to its recorder -------------------------------------------------------


def test_a_server_that_dies_and_comes_back_leaves_a_gap(private_server: MakeServer) -> None:
    server = private_server(appendonly=True, extra_args=["--appendfsync", "always"])
    scene = Scene(server)
    token = scene.bench.lead()
    placed = scene.bench.place("e", ago_ms=5)
    scene.claim(token, placed, atomic=False)
    scene.send(placed)
    flying = scene.bench.place("flying", ago_ms=5)
    scene.claim(token, flying, atomic=False)
    server.kill()
    server.start()
    scene.settle(token, placed)
    deadline = scene.bench.now_ms + 5_000
    while not any(isinstance(event, Gap) for event in scene.monitor.recorded):
        assert scene.bench.now_ms < deadline
    scene.recover(token, flying, 2)
    recorded = scene.monitor.stop()
    (gap,) = [event for event in recorded if isinstance(event, Gap)]
    assert gap.start_us < gap.end_us
    assert {words[1].rpartition(b":")[2] for words in gap.kept or ()} >= {b"entries", b"state"}
    assert scene.problems(events=recorded) == []
    # A claim by another replica in the same place of the history is found all the same.
    stolen = [
        event._replace(words=(*event.words[:3], event.words[3].replace(b":aa", b":zz")))
        if isinstance(event, Written) and event.at_us > gap.end_us and event.words[0] == b"HSET"
        and event.words[1].endswith(b"inflight")
        else event
        for event in recorded
    ]  # fmt: skip
    assert any(problem.startswith("I5") for problem in scene.problems(events=stolen))


def test_what_was_there_before_is_known_from_the_start(valkey: Server) -> None:
    bench = Bench(valkey)
    token = bench.lead()
    placed = bench.place("e", ago_ms=5)
    scene = Scene(valkey)
    scene.claim(token, placed, atomic=True)
    recorded = scene.monitor.stop()
    assert isinstance(recorded[0], Gap)
    assert scene.problems(events=recorded) == []


def test_flushall_is_a_loss(valkey: Server) -> None:
    scene = Scene(valkey)
    token = scene.bench.lead()
    scene.claim(token, scene.bench.place("e", ago_ms=5), atomic=False)
    valkey.admin.flushall()
    scene.bench.lead("bb")
    recorded = scene.monitor.stop()
    assert [event.kept for event in recorded if isinstance(event, Lost)] == [()]
    fault = Fault(Kind.REDIS_EMPTIED, 0, recorded[-1].at_us)  # type: ignore[union-attr]
    assert scene.problems(fault, events=recorded) == []


def test_a_server_with_a_password_and_tls(private_server: MakeServer) -> None:
    server = private_server(redis70_binary(), tls=True)
    server.admin.config_set("requirepass", "geheim")
    base = "{habeat:bench}:"
    monitor = Monitor(lambda: server.client(password="geheim"), base).start()
    client = server.client(password="geheim")
    client.eval(f"redis.call('HSET', '{base}state', 'e', '1|2|||0')", 0)
    (write, end) = monitor.stop()
    assert isinstance(write, Written)
    assert write.words == (b"HSET", b"{habeat:bench}:state", b"e", b"1|2|||0")
    assert isinstance(end, ScriptEnd)


def test_of_a_cluster_every_node_is_listened_to(cluster: Cluster) -> None:
    base = "{habeat:bench}:"
    monitors = [Monitor(node.client, base).start() for node in cluster.nodes]
    bench = Bench(cluster.owner(base + "meta"))
    bench.lead()
    recorded = [monitor.stop() for monitor in monitors]
    assert sorted(len(events) > 0 for events in recorded) == [False, False, True]


def test_who_cannot_be_reached_is_said() -> None:
    def nowhere() -> redis.Redis:
        return redis.Redis(port=1)

    with pytest.raises(RuntimeError, match="MONITOR"):
        Monitor(nowhere, "{x}:").start(timeout_s=0.2)


# -- lines ------------------------------------------------------------------------------------


def test_every_byte_comes_back_from_a_line(server: Server) -> None:
    value = bytes(range(256)) + b'\\x41 "quoted" \\\\" ] ['
    monitor = Monitor(server.client, "{b}:").start()
    server.admin.eval("redis.call('HSET', '{b}:state', ARGV[1], ARGV[2])", 0, value, "1|")
    (write, _) = monitor.stop()
    assert isinstance(write, Written)
    assert write.words == (b"HSET", b"{b}:state", value, b"1|")


def test_what_is_refused_is_not_shown(server: Server) -> None:
    """As lines.py says: else a write would be taken for done that was not."""
    monitor = Monitor(server.client, "{b}:").start()
    admin = server.admin
    write = "return redis.pcall('HSET', '{b}:state', ARGV[1], '1|')"
    try:
        admin.config_set("maxmemory", "1")
        with pytest.raises(Exception, match=r"OOM|used memory"):
            admin.eval(write, 0, "oom")
        admin.config_set("maxmemory", "0")
        admin.config_set("min-replicas-to-write", "1")
        with pytest.raises(Exception, match="NOREPLICAS"):
            admin.eval(write, 0, "no replicas")
    finally:
        admin.config_set("maxmemory", "0")
        admin.config_set("min-replicas-to-write", "0")
    admin.eval(write, 0, "done")
    fields = [event.words[2] for event in monitor.stop() if isinstance(event, Written)]
    assert fields == [b"done"]


@pytest.mark.parametrize("raw", [b"+OK", b"", b'+17951.7324 [0 lua] "SET"', b"+1.123456 [0 lua] "])
def test_what_is_no_line(raw: bytes) -> None:
    assert parse(raw) is None
