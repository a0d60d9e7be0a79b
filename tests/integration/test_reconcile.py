"""Bringing Redis in line with the code: on a real server, with the real entries."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab, schedule

from habeat.beat.declared.beat_schedule import BeatSchedule, declare
from habeat.beat.declared.reconcile import LOOK_EVERY_US, Reconcile
from habeat.beat.declared.seeding import SLICE, STORED_AGAIN
from habeat.core.entry import Entry
from habeat.core.lease import Fence, Token
from habeat.engine.election import Attempt, LeaseLost
from habeat.entries.codec import encode
from habeat.ports import Lost
from habeat.ports.entries import Position, Stored, Write
from habeat.schedules import Interval
from habeat.store.leases import CONFIG_FORGOTTEN_MS
from tests.integration.scripts.bench import TTL_MS, Bench
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app

GOOD: dict[str, Any] = {"task": "proj.add", "schedule": 60, "args": (1, 2)}


@dataclass
class StandingLead:
    """The part of a leader that reconciling needs; its clock can be set ahead."""

    bench: Bench
    token: Token
    cluster: str = "cluster"
    ahead_us: int = 0
    ttl_ms: int = TTL_MS

    def now_ms(self) -> int:
        return self.bench.now_ms

    def monotonic_us(self) -> int:
        return self.bench.now_ms * 1_000 + self.ahead_us

    def call(self, fenced: Callable[[Fence], Any]) -> Any:
        attempt = self.attempt()
        return self.concluded(fenced(attempt.fence), attempt)

    def keep(self) -> None:
        """The lease does not end here."""

    def attempt(self) -> Attempt:
        return Attempt(Fence(self.token, TTL_MS), 0)

    def concluded(self, reply: Any, attempt: Attempt) -> Any:
        if isinstance(reply, Lost):
            raise LeaseLost(reply.holder)
        return reply


class Deploy:
    """One deploy's code on a leader."""

    def __init__(self, bench: Bench, app: Celery, generation: int, given: dict[str, Any]) -> None:
        self.bench = bench
        self.declared: BeatSchedule = declare(app, given)
        self.generation = generation
        self.reconcile = Reconcile(bench.entries, self.declared)

    def lead(self, lead: StandingLead, lost_ms: int = 0) -> None:
        for _ in range(50):
            more = self.reconcile.slice(
                lead,  # type: ignore[arg-type]
                generation=self.generation,
                history_lost_ms=lost_ms,
            )
            if more is None:
                return
        raise AssertionError("reconciling goes round and round")

    def announce(self) -> None:
        names = sorted(self.declared.entries)
        self.bench.entries.declare(self.declared.fingerprint, names)
        self.bench.leases.register(
            f"r{self.generation}", "{}", self.declared.fingerprint, len(names)
        )


@pytest.fixture
def app() -> Celery:
    return make_app()


@pytest.fixture
def bench(valkey: Server) -> Bench:
    return Bench(valkey)


@pytest.fixture
def lead(bench: Bench) -> StandingLead:
    return StandingLead(bench, bench.lead())


@pytest.fixture
def deploy(bench: Bench, app: Celery) -> Callable[..., Deploy]:
    def make(generation: int = 1, **given: Any) -> Deploy:
        return Deploy(bench, app, generation, given)

    return make


def stored(bench: Bench, name: str) -> Stored:
    return bench.entries.read([name]).stored[0]


def entry(bench: Bench, name: str) -> Entry:
    found = stored(bench, name).entry
    assert found is not None
    return found


def age(bench: Bench, name: str, ms: int) -> tuple[int, int]:
    """The entry's slots have been due for this long; returns its cursor and its oldest slot."""
    found = entry(bench, name)
    cursor_ms = bench.now_ms - ms
    slot_ms = found.next_slot_ms(cursor_ms)
    assert slot_ms is not None
    position = Position(cursor_ms, slot_ms, slot_ms)
    write = Write(name, stored(bench, name).digest, owned=True, position=position)
    assert bench.entries.write([write]) is None
    return cursor_ms, slot_ms


# -- seeding --------------------------------------------------------------------------------


def test_a_new_entry_starts_at_its_first_slot_after_now(bench, lead, deploy) -> None:
    before = bench.now_ms
    deploy(a=GOOD).lead(lead)
    found = stored(bench, "a")
    assert found.entry.owner == "config"
    assert before <= found.state.cursor_ms <= bench.now_ms
    assert before < found.state.due_ms <= bench.now_ms + 60_000
    assert bench.ledger() == []


def test_seeding_an_identical_entry_touches_nothing(bench, lead, deploy) -> None:
    deploy(a=GOOD, b={**GOOD, "schedule": crontab()}).lead(lead)
    before = bench.everything()
    again = deploy(generation=2, b={**GOOD, "schedule": crontab()}, a=GOOD)
    again.lead(StandingLead(bench, lead.token, "cluster"))
    assert bench.everything() == before


def test_a_change_of_arguments_keeps_the_cursor_and_what_is_due(bench, lead, deploy) -> None:
    deploy(a=GOOD).lead(lead)
    cursor_ms, slot_ms = age(bench, "a", 200_000)
    deploy(generation=2, a={**GOOD, "args": (3, 4)}).lead(lead)
    found = stored(bench, "a")
    assert found.entry.args == (3, 4)
    assert found.entry.rev == 2
    assert (found.state.cursor_ms, found.state.due_ms) == (cursor_ms, slot_ms)
    assert bench.ledger() == []


def test_a_change_of_schedule_accounts_for_what_was_due(bench, lead, deploy) -> None:
    deploy(a=GOOD).lead(lead)
    _, slot_ms = age(bench, "a", 200_000)
    deploy(generation=2, a={**GOOD, "schedule": 90}).lead(lead)
    found = stored(bench, "a")
    assert found.state.cursor_ms >= bench.now_ms - 5_000
    assert found.state.due_ms > bench.now_ms - 5_000
    assert bench.ledger() == [("skipped", "edited", str(slot_ms))]


@pytest.mark.parametrize("part", [{"jitter": 5}, {"spread": 20}])
def test_a_change_of_offsets_keeps_the_cursor(bench, lead, deploy, part) -> None:
    deploy(a=GOOD).lead(lead)
    before = stored(bench, "a").state
    deploy(generation=2, a={**GOOD, **part}).lead(lead)
    after = stored(bench, "a")
    assert after.state.cursor_ms == before.cursor_ms
    assert after.state.due_ms == after.entry.effective_ms(before.next_slot_ms)


def test_i4_a_change_of_schedule_never_moves_the_cursor_back(bench, lead, deploy) -> None:
    """Redis' clock has stepped back by an hour: what has fired must not fire again."""
    deploy(a=GOOD).lead(lead)
    found = stored(bench, "a")
    ahead_ms = bench.now_ms + 3_600_000
    position = Position(ahead_ms, ahead_ms + 5, ahead_ms + 5)
    bench.entries.write([Write("a", found.digest, owned=True, position=position)])
    deploy(generation=2, a={**GOOD, "schedule": 90}).lead(lead)
    after = stored(bench, "a")
    assert after.state.cursor_ms >= ahead_ms
    assert after.state.due_ms > ahead_ms


def test_an_older_deploy_never_overwrites_a_newer_ones_definition(bench, lead, deploy) -> None:
    old, new = deploy(1, a=GOOD), deploy(2, a={**GOOD, "args": (9, 9)})
    old.lead(lead)
    new.lead(lead)
    assert entry(bench, "a").args == (9, 9)
    before = bench.everything()
    deploy(1, a=GOOD).lead(StandingLead(bench, lead.token, "again"))
    assert bench.everything() == before


def test_replicas_started_together_leave_each_others_definitions(bench, lead, deploy) -> None:
    """Their generation is the same; each may have drawn a random minute of its own."""
    deploy(generation=1, a=GOOD).lead(lead)
    before = stored(bench, "a")
    deploy(generation=1, a={**GOOD, "schedule": 90}).lead(lead)
    assert stored(bench, "a") == before
    deploy(generation=2, a={**GOOD, "schedule": 90}).lead(lead)
    assert entry(bench, "a").schedule.every_ms == 90_000  # type: ignore[attr-defined]


def test_a_leader_that_learns_of_another_generation_looks_at_every_entry(
    bench, lead, deploy
) -> None:
    made = deploy(generation=3, a=GOOD)
    made.lead(lead)
    bench.admin.hset(bench.keys.entries, "a", encode(replace(entry(bench, "a"), fingerprint="x")))
    made.lead(lead)
    assert entry(bench, "a").fingerprint == "x"
    made.generation = 4
    made.lead(lead)
    assert entry(bench, "a").fingerprint == made.declared.entries["a"].fingerprint


def test_a_roll_back_is_newer_than_what_it_takes_back(bench, lead, deploy) -> None:
    deploy(1, a=GOOD).lead(lead)
    deploy(2, a={**GOOD, "args": (9, 9)}).lead(lead)
    deploy(3, a=GOOD).lead(lead)
    assert entry(bench, "a").args == (1, 2)


def test_an_entry_of_the_api_is_never_touched(bench, lead, deploy, caplog) -> None:
    placed = bench.place("a")
    made = deploy(a=GOOD, b=GOOD)
    for cluster in ("one", "two", "three"):
        made.lead(StandingLead(bench, lead.token, cluster))
    assert stored(bench, "a").digest == placed.digest
    assert made.reconcile.clashes == {"a"}
    assert caplog.text.count("'a'") == 1
    assert stored(bench, "b").exists


def test_what_cannot_be_read_is_left_alone(bench, lead, deploy, caplog) -> None:
    bench.admin.hset(bench.keys.entries, "a", b"garbage")
    deploy(a=GOOD, b=GOOD).lead(lead)
    assert bench.admin.hget(bench.keys.entries, "a") == b"garbage"
    assert stored(bench, "b").exists
    assert "cannot be read" in caplog.text


def test_an_entry_whose_state_is_gone_holds_up_no_others(bench, lead, deploy) -> None:
    """A conflict that never ends would keep every later page from being seeded."""
    names = {f"e{n:03}": GOOD for n in range(SLICE + 5)}
    deploy(**names).lead(lead)
    bench.admin.hdel(bench.keys.state, "e000")
    changed = {name: {**GOOD, "schedule": 90} for name in names}
    deploy(generation=2, **changed).lead(lead)
    assert entry(bench, f"e{SLICE + 4:03}").schedule == replace(
        entry(bench, f"e{SLICE + 4:03}").schedule, every_ms=90_000
    )
    assert stored(bench, "e000").state.due_ms is not None
    assert not [what for what in bench.ledger() if what[2] == "0"]


def test_a_schedule_that_raises_does_not_hold_up_the_others(bench, lead, deploy, caplog) -> None:
    class Broken(schedule):
        def is_due(self, last_run_at: Any) -> Any:
            raise ZeroDivisionError("in somebody's schedule class")

    deploy(a={**GOOD, "schedule": Broken(60)}, b=GOOD).lead(lead)
    assert stored(bench, "b").exists


def test_a_conflict_with_an_edit_is_read_again(bench, lead, deploy) -> None:
    deploy(a=GOOD).lead(lead)
    made = deploy(generation=2, a={**GOOD, "args": (3, 4)}, b=GOOD)
    read = bench.entries.read
    raced: list[bool] = []

    def racing(names: Any) -> Any:
        found = read(names)
        if not raced:
            raced.append(True)
            changed = encode(replace(found.stored[0].entry, description="by somebody"))
            bench.admin.hset(bench.keys.entries, "a", changed)
        return found

    bench.entries.read = racing  # type: ignore[method-assign]
    made.lead(lead)
    assert entry(bench, "a").args == (3, 4)
    assert stored(bench, "b").exists


def test_without_the_lease_nothing_is_written(bench, lead, deploy) -> None:
    bench.admin.delete(bench.keys.lease)
    before = bench.everything()
    with pytest.raises(LeaseLost):
        deploy(a=GOOD).lead(lead)
    assert bench.everything() == before


# -- a loss of data -------------------------------------------------------------------------


def test_after_a_loss_each_entry_has_one_record_of_it(bench, lead, deploy) -> None:
    lost_ms = bench.now_ms - 500
    deploy(a=GOOD, b=GOOD).lead(lead, lost_ms)
    assert sorted(what[:2] for what in bench.ledger()) == [("note", STORED_AGAIN)] * 2
    before = bench.everything()
    deploy(a=GOOD, b=GOOD).lead(StandingLead(bench, lead.token, "again"), lost_ms)
    assert bench.everything() == before


def test_an_entry_lost_under_a_live_lease_is_created_again(bench, lead, deploy) -> None:
    """A failover to a Redis replica that was behind: the lease is there, an entry is not."""
    made = deploy(a=GOOD, b=GOOD)
    made.lead(lead)
    for key in (bench.keys.entries, bench.keys.state):
        bench.admin.hdel(key, "b")
    made.lead(lead, lost_ms=bench.now_ms)
    assert stored(bench, "b").exists


def test_slots_of_a_definition_that_was_deleted_by_hand_are_accounted_for(
    bench, lead, deploy
) -> None:
    """Its state is left; what fell due between its cursor and its return is in one record."""
    deploy(a={**GOOD, "schedule": 1}).lead(lead)
    cursor_ms, first_ms = age(bench, "a", 5_000)
    bench.admin.hdel(bench.keys.entries, "a")
    deploy(a={**GOOD, "schedule": 1}).lead(lead)
    (record,) = bench.ledger("a")
    assert record == ("skipped", "its definition was missing", str(first_ms))
    assert stored(bench, "a").state.cursor_ms > cursor_ms


# -- pruning --------------------------------------------------------------------------------


def forget(bench: Bench, made: Deploy) -> None:
    """No replica has carried this configuration for over a minute."""
    fingerprint = made.declared.fingerprint
    generation, _, names = bench.admin.hget(bench.keys.configs, fingerprint).decode().split("|")
    then = bench.now_ms - CONFIG_FORGOTTEN_MS - 1_000
    bench.admin.hset(bench.keys.configs, fingerprint, f"{generation}|{then}|{names}")


def prune(made: Deploy, lead: StandingLead) -> None:
    made.lead(lead)
    lead.ahead_us += LOOK_EVERY_US + 1
    made.lead(lead)


def test_what_was_not_declared_for_a_minute_goes(bench, lead, deploy) -> None:
    old, new = deploy(1, kept=GOOD, gone=GOOD), deploy(2, kept=GOOD)
    bench.place("made by api")
    for made in (old, new):
        made.announce()
        made.lead(lead)
    prune(new, lead)
    assert stored(bench, "gone").exists
    forget(bench, old)
    prune(new, lead)
    assert not stored(bench, "gone").exists
    assert stored(bench, "kept").exists
    assert stored(bench, "made by api").exists


def test_what_was_due_of_a_pruned_entry_is_in_the_ledger(bench, lead, deploy) -> None:
    old, new = deploy(1, kept=GOOD, gone=GOOD), deploy(2, kept=GOOD)
    for made in (old, new):
        made.announce()
        made.lead(lead)
    _, slot_ms = age(bench, "gone", 100_000)
    forget(bench, old)
    prune(new, lead)
    assert bench.ledger("gone") == [("skipped", "pruned", str(slot_ms))]


def test_a_paused_entry_stays_paused_through_a_deploy(bench, lead, deploy) -> None:
    deploy(a=GOOD).lead(lead)
    pause = Write("a", stored(bench, "a").digest, owned=True, paused='{"reason": "x"}')
    bench.entries.write([replace(pause, position=Position(bench.now_ms, None, None))])
    deploy(generation=2, a={**GOOD, "schedule": 90}).lead(lead)
    found = stored(bench, "a")
    assert found.state.paused == "x"
    assert found.state.due_ms is None
    assert found.entry.schedule == Interval(90_000, found.entry.schedule.offset_ms)
