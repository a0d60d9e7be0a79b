"""Read all that RedBeat holds, a page at a time; nothing is written.

RedBeat keeps a hash for each entry, a sorted set of their keys by the time of the next run, a set
of the names that come from `beat_schedule`, and a lock. An entry is in order if it has both a hash
and a place in the sorted set. The times in the sorted set are not used: RedBeat computes them when
it last ran, and they are wrong after any other change. The one exception is an entry that has never
run, for which that time says when it was saved.

A beat that lives holds the lock, and extends it once a turn. How long a turn may take is not known
here: `celery beat --max-interval` changes it, and with it how long the lock lasts, and sending many
entries takes time. So a lock that is held counts as a living beat's, until it expires or a person
deletes it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from habeat.clock import SystemClock
from habeat.core.entry import instant
from habeat.errors import HabeatError
from habeat.migrate.found import (
    Living,
    Reading,
    SourceEmpty,
    SourceEntry,
    SourceUnreadable,
    Uncarried,
)
from habeat.migrate.sources.redbeat.decode import Undecodable, decoded, last_run, name_of
from habeat.migrate.sources.redbeat.settings import RedBeatSettings
from habeat.ports import StoreUnavailable
from habeat.store.calling import Caller, text
from habeat.store.connection import Connections
from habeat.store.keys import Keys
from habeat.store.pipelining import wire
from habeat.store.prefix_keys import literally

Result = TypeVar("Result")
Sleep = Callable[[float], None]

#: How long one wait for Redis may last.
TIMEOUT_S = 5.0
PAGE = 50
SCAN_COUNT = 1_000
#: More entries than this are not read: they would fill the memory.
ENTRIES_MOST = 200_000
#: A larger text is not read.
TEXT_BYTES_MOST = 400_000
#: For how long keys without a place in the schedule are looked for.
SEARCH_US = 60_000_000
#: For how long a lock that may be alive is watched, and how often it is looked at.
WATCH_S, LOOK_EVERY_S = 3.0, 0.5

NO_PLACE = "RedBeat has no place for it in its schedule, so it never runs there"
NOT_ALL_SEEN = (
    "entries that are missing from RedBeat's own schedule were not all looked for: that takes the "
    "permission for SCAN, and a Redis with fewer keys"
)
NO_HASH = "RedBeat's schedule names it, but it has no definition"


@dataclass(frozen=True, slots=True)
class _Raw:
    """One key as stored: its two texts, or why they cannot be read; its score, if it has one."""

    key: str
    score: float | None
    definition: bytes = b""
    meta: bytes = b""
    wrong: str = ""


def read(
    settings: RedBeatSettings,
    declared: Container[str],
    zone: str,
    sleep: Sleep,
) -> Reading:
    """All entries of RedBeat; `declared` are the names of this code's beat_schedule.

    `zone` is the app's. Raises SourceUnreadable.
    """
    connections = Connections(settings.target, socket_timeout_s=TIMEOUT_S, client_name="habeat")
    try:
        store = _Store(connections, settings)
        return _Reading(store, settings, declared, zone).read(living(store, settings, sleep))
    except StoreUnavailable as error:
        raise SourceUnreadable(f"cannot read {settings} ({error})") from error
    finally:
        connections.close()


class _Store:
    """Reads RedBeat's keys. StoreUnavailable."""

    def __init__(self, connections: Connections, settings: RedBeatSettings) -> None:
        self._caller = Caller(connections, Keys("migrate"))  # habeat's own keys are not used here
        self._settings = settings
        self._clock = SystemClock()

    def _do(self, act: Callable[[Any], Result]) -> Result:
        return self._caller.do(act)

    def check_types(self) -> None:
        """SourceUnreadable if a key of RedBeat's has a foreign type."""
        for key, expected in (
            (self._settings.schedule_key, "zset"),
            (self._settings.statics_key, "set"),
        ):
            found = text(self._do(lambda client: client.type(wire(key))))  # noqa: B023
            if found not in (expected, "none"):
                raise SourceUnreadable(
                    f"cannot read {self._settings} (the key {key} is a {found}, not a {expected})"
                )

    def statics(self) -> set[str]:
        """The names that an earlier start of RedBeat took from beat_schedule."""
        key = wire(self._settings.statics_key)
        found: Any = self._do(lambda client: list(client.sscan_iter(key, count=SCAN_COUNT)))
        return set(map(text, found))

    def scores(self) -> dict[str, float]:
        """The keys in the schedule, each with its score."""
        key = wire(self._settings.schedule_key)
        if int(self._do(lambda client: client.zcard(key))) > ENTRIES_MOST:
            raise SourceUnreadable(f"{self._settings} has more than {ENTRIES_MOST} entries")
        found: Any = self._do(lambda client: list(client.zscan_iter(key, count=SCAN_COUNT)))
        return {text(name): float(score) for name, score in found}

    def others(self, known: Container[str]) -> tuple[list[str], bool]:
        """Other hashes whose names begin like those of entries; and whether all were looked at."""
        pattern = literally(self._settings.key_prefix) + "*"
        ends_us = self._clock.monotonic_us() + SEARCH_US

        def scanned(client: Any) -> tuple[list[str], bool]:
            found: dict[str, None] = {}
            for name in client.scan_iter(match=wire(pattern), count=SCAN_COUNT, _type="hash"):
                if text(name) not in known:
                    found[text(name)] = None
                if len(found) > ENTRIES_MOST or self._clock.monotonic_us() > ends_us:
                    return list(found), False
            return list(found), True

        try:
            return self._do(scanned)
        except StoreUnavailable as error:
            if error.fault != "denied":  # a user of Redis may well lack the permission for SCAN
                raise
            return [], False

    def raw(self, keys: Sequence[str], scores: Mapping[str, float]) -> Iterator[_Raw]:
        """These keys as stored, page by page."""
        for start in range(0, len(keys), PAGE):
            yield from self._page(keys[start : start + PAGE], scores)

    def _page(self, keys: Sequence[str], scores: Mapping[str, float]) -> Iterator[_Raw]:
        sizes = self._piped(keys, lambda pipe, key: pipe.hstrlen(key, "definition"))
        metas = self._piped(keys, lambda pipe, key: pipe.hstrlen(key, "meta"))
        large = [
            _is_large(size) or _is_large(meta) for size, meta in zip(sizes, metas, strict=True)
        ]
        wanted = [key for key, is_large in zip(keys, large, strict=True) if not is_large]
        found = self._piped(wanted, lambda pipe, key: pipe.hmget(key, "definition", "meta"))
        values = dict(zip(wanted, found, strict=True))
        for key in keys:
            yield _raw(key, scores.get(key), values.get(key))

    def _piped(self, keys: Sequence[str], send: Callable[[Any, Any], object]) -> list[Any]:
        """A reply for each key; an error of Redis about one of them is its reply."""

        def act(client: Any) -> list[Any]:
            pipe = client.pipeline(transaction=False)
            for key in keys:
                send(pipe, wire(key))
            replies: list[Any] = pipe.execute(raise_on_error=False)
            return replies

        return self._do(act) if keys else []

    def lock_ttl_s(self) -> float | None:
        """For how much longer the lock is held; None if it is not."""
        found = int(self._do(lambda client: client.pttl(wire(self._settings.lock_key))))
        return None if found == -2 else found / 1_000


def _is_large(size: Any) -> bool:
    return isinstance(size, int) and size > TEXT_BYTES_MOST


def _raw(key: str, score: float | None, found: Any) -> _Raw:
    if found is None:
        return _Raw(key, score, wrong=f"it has more than {TEXT_BYTES_MOST} bytes")
    if isinstance(found, Exception):
        return _Raw(key, score, wrong=f"its key is no hash of RedBeat's ({found})")
    return _Raw(key, score, bytes(found[0] or b""), bytes(found[1] or b""))


class _Reading:
    """Turns keys into entries, each on its own."""

    def __init__(
        self, store: _Store, settings: RedBeatSettings, declared: Container[str], zone: str
    ) -> None:
        self._store = store
        self._settings = settings
        self._declared = declared
        self._zone = zone
        self._entries: dict[str, SourceEntry] = {}
        self._uncarried: list[Uncarried] = []

    def read(self, alive: Living) -> Reading:
        """Everything; SourceEmpty if there is nothing of RedBeat's."""
        self._store.check_types()
        scores, self._statics = self._store.scores(), self._store.statics()
        others, all_seen = self._store.others(scores)
        for raw in self._store.raw([*scores, *others], scores):
            self._take(raw)
        if not (scores or self._statics or self._entries or self._uncarried):
            raise SourceEmpty(
                f"{self._settings} has no entries: check redbeat_redis_url and redbeat_key_prefix"
            )
        entries = sorted(self._entries.values(), key=lambda entry: entry.name)
        hint = "" if all_seen else NOT_ALL_SEEN
        return Reading(str(self._settings), entries, self._uncarried, alive, hint)

    def _take(self, raw: _Raw) -> None:
        if raw.score is None and not (raw.definition or raw.meta or raw.wrong):
            return  # a hash of another program, whose name begins like RedBeat's
        name = raw.key.removeprefix(self._settings.key_prefix)
        try:
            found = self._entry(raw, name)
            if found.name in self._entries:
                raise Undecodable(f"another key of RedBeat's has the name {found.name} too")
        except HabeatError as error:
            self._uncarried.append(Uncarried(name, str(error)))
        except _Dropped as dropped:
            self._uncarried.append(Uncarried(name, dropped.why, dropped=True))
        else:
            self._entries[found.name] = found

    def _entry(self, raw: _Raw, name: str) -> SourceEntry:
        """The entry; HabeatError says why there is none, _Dropped that RedBeat drops it too."""
        if raw.wrong:
            raise Undecodable(raw.wrong)
        if name in self._declared:
            at, count = last_run(raw.meta)
            return SourceEntry(name, last_run_at=at, total_run_count=count, declared=True)
        if name in self._statics:
            raise _Dropped("an earlier beat_schedule had it; this code's does not")
        if not raw.definition:
            raise _Dropped(NO_HASH)
        if raw.score is None:
            raise Undecodable(NO_PLACE)
        own = name_of(raw.definition)
        if own != name:
            raise Undecodable(f"its definition is that of another name, {own}")
        return decoded(raw.definition, raw.meta, self._zone, _saved_at(raw.score))


class _Dropped(Exception):
    """RedBeat itself would drop this entry at its next start or turn."""

    def __init__(self, why: str) -> None:
        self.why = why


def _saved_at(score: float) -> datetime | None:
    """When an entry that has never run was saved; None if its score does not say so."""
    if not 0 < score < 10**11:
        return None
    return instant(int(score) * 1_000)


# -- is it alive? -----------------------------------------------------------------------------


def living(store: _Store, settings: RedBeatSettings, sleep: Sleep) -> Living:
    """Whether RedBeat's beat may still run, by its lock."""
    if not settings.lock_key:
        return _without_lock(store, sleep)
    ttl_s = store.lock_ttl_s()
    if ttl_s is None:
        return Living(False)
    if ttl_s < 0:
        return Living(True, f"its lock {settings.lock_key} never expires")
    return _watched(store, settings, sleep, ttl_s)


def _without_lock(store: _Store, sleep: Sleep) -> Living:
    """Without a lock, only a beat that sends something while it is watched shows itself."""
    before = store.scores()
    sleep(WATCH_S)
    if store.scores() != before:
        return Living(True, "its schedule changes")
    return Living(False, "RedBeat runs without a lock here: make sure that no beat of it runs")


def _watched(store: _Store, settings: RedBeatSettings, sleep: Sleep, ttl_s: float) -> Living:
    """Look again for a while: a lock that is extended belongs to a beat that lives."""
    for _ in range(round(WATCH_S / LOOK_EVERY_S)):
        sleep(LOOK_EVERY_S)
        found_s = store.lock_ttl_s()
        if found_s is None:
            return Living(False)
        if found_s > ttl_s:
            return Living(True, f"its lock {settings.lock_key} is being extended")
        ttl_s = found_s
    return Living(
        True,
        f"its lock {settings.lock_key} is held for {max(1, round(ttl_s))} s more: if its beat was "
        "killed, wait until then or delete that key",
    )
