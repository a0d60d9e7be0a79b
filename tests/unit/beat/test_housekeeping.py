"""What a replica tells the others, and when."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from habeat.beat.declared.beat_schedule import BeatSchedule, declare
from habeat.beat.housekeeping import REGISTER_EVERY_MS, Identity, Replica
from habeat.core.data_loss import Loss
from habeat.ports import Known, Registration
from tests.unit.beat.conftest import make_app
from tests.unit.engine.world import FakeClock


class Store:
    """Keeps the names of a configuration until it is emptied."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.calls: list[str] = []

    def declare(self, fingerprint: str, names: list[str]) -> None:
        self.calls.append("names")
        self.names = set(names)

    def register(self, *_: Any, **__: Any) -> Registration:
        self.calls.append("replica")
        return Registration(0, 0, 1, len(self.names), 1)


def _election() -> Any:
    return SimpleNamespace(
        known=Known("c", 1),
        won=None,
        holder=None,
        leader="",
        inert="",
        barred="",
        placed=lambda _: None,
    )


def _replica(
    store: Store, clock: FakeClock, declared: BeatSchedule, election: Any = None
) -> Replica:
    election = election or _election()
    publisher = SimpleNamespace(
        dispatch="atomic", atomic=True, decided=True, why="", prepare=lambda _: None
    )
    given: Any = {
        "identity": Identity.of_this_process("a", clock),
        "election": election,
        "lease_store": store,
        "entry_store": store,
        "inspection": None,
        "publisher": publisher,
        "broker": SimpleNamespace(probe=lambda _: None),
        "reconcile": SimpleNamespace(clashes=set()),
        "differences": SimpleNamespace(
            facts={}, registered=lambda *_, **__: None, step=lambda: False
        ),
        "neighbours": SimpleNamespace(look_once=lambda: None),
        "others": SimpleNamespace(step=lambda: None, facts=[]),
        "beat_schedule": declared,
        "tasks": SimpleNamespace(step=lambda _: None, begin=lambda _: None, facts=dict),
        "upkeep": SimpleNamespace(step=lambda *_: None, entries_lost=False),
        "ttl_ms": 6_000,
        "clock": clock,
        "broker_failures": lambda: 0,
    }
    return Replica(**given)


def test_names_are_reported_once_and_again_where_they_were_forgotten() -> None:
    store, clock = Store(), FakeClock()
    entry = {"task": "proj.add", "schedule": 60}
    replica = _replica(store, clock, declare(make_app(), {"one": entry, "two": entry}))
    heard = []
    for turn in range(5):
        if turn == 2:
            store.names.clear()
        replica.each_tick(None)
        heard.append(tuple(store.calls))
        store.calls.clear()
        clock.advance(REGISTER_EVERY_MS)
    again = ("names", "replica")
    assert heard == [again, ("replica",), ("replica",), again, ("replica",)]
    assert store.names == {"one", "two"}


def test_after_a_loss_of_data_a_replica_asks_at_once_which_deploy_is_the_newest() -> None:
    store, clock, election = Store(), FakeClock(), _election()
    replica = _replica(store, clock, declare(make_app(), {}), election)
    heard = []
    for lost_ms in (0, 0, 5_000, 5_000):
        election.known = Known("c", 1, loss=Loss(lost_ms, lost_ms))
        replica.each_tick(None)
        heard.append(len(store.calls))
        store.calls.clear()
        clock.advance(100)
    assert heard == [2, 0, 1, 0]
