"""The thread that watches the loop and the health: what it logs, reports and concludes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from habeat.beat.health_watch import LOOK_EVERY_MS, HealthWatch
from habeat.beat.loop_watch import HANGS_AFTER_MS
from habeat.beat.stacks import place_of, stacks
from habeat.core.circuit import LONGEST_PAUSE_MS, Circuit
from habeat.core.health import HealthFacts, Waiting
from habeat.core.wedged import WEDGED_AFTER_MS
from habeat.engine.report import BeingBuilt, LoopReport
from habeat.ports import StoreUnavailable
from habeat.store.health import Read
from tests.unit.engine.world import FakeClock

REDIS_MS = 1_800_000_000_000
DUE = [("a", REDIS_MS - 9_000), ("b", REDIS_MS - 9_000)]


class Store:
    """In place of Redis: the facts that a test sets, and what was reported."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._began_us = clock.us
        self.given: dict[str, Any] = {}
        self.away = False
        self.reports: dict[str, Mapping[str, Any]] = {}
        self.circuits: dict[str, Circuit] = {}

    def read(self, grace_ms: int) -> Read:
        if self.away:
            raise StoreUnavailable("unreachable", "away")
        now_ms = REDIS_MS + (self._clock.us - self._began_us) // 1_000
        given = {"leader": "alpha pid 1", "last_tick_ms": now_ms, **self.given}
        return Read(HealthFacts(now_ms=now_ms, **given), "7:a", 0)

    def report(self, nonce: str, signs: Mapping[str, Any]) -> None:
        self.reports[nonce] = signs

    def open_circuit(self, entry: str, digest: str, circuit: Circuit) -> bool:
        if self.away:
            raise StoreUnavailable("unreachable", "away")
        self.circuits[entry] = circuit
        return True

    def close_circuit(self, entry: str, circuit: Circuit) -> None:
        assert self.circuits.pop(entry) == circuit

    def withdraw(self, nonces: Sequence[str]) -> None:
        for nonce in nonces:
            self.reports.pop(nonce, None)


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = Store(self.clock)
        self.report = LoopReport()
        self.suspects: list[str] = []
        self.failing = ""
        self.sending: BeingBuilt | None = None
        self.election: Any = SimpleNamespace(
            nonce="n", leading=False, answers=0, barred="", inert="", trust=None, holder="7:a",
            suspect=self.suspects.append,
        )  # fmt: skip
        self.replica: Any = SimpleNamespace(broker_ok_ms=None, rank=0, repaired=("", 0))
        self.watch = HealthWatch(
            self.store,  # type: ignore[arg-type]
            report=self.report,
            election=self.election,
            replica=self.replica,
            grace_ms=60_000,
            where="beta pid 2",
            clock=self.clock,
            receivers=lambda: self.failing,
            own_sending=lambda: self.sending,
        )
        self.watch._thread = threading.current_thread()  # the test is the thread
        self.watch._loop_thread = threading.get_ident()

    def goes(self, seconds: int, *, ticks: bool = True) -> None:
        for _ in range(seconds):
            if ticks:
                self.watch.turn()
            self.clock.advance(1_000)
            self.watch.beat()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.habeat_event for record in caplog.records if hasattr(record, "habeat_event")]


def test_a_finding_is_logged_once_at_its_start_and_once_at_its_end(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.store.given = {"dead": 1}
    scene.goes(20)
    assert lines(caplog) == ["dead_letters"]
    scene.store.given = {}
    scene.goes(5)
    assert lines(caplog) == ["dead_letters"] * 2
    assert "this is over: 1 firing or request" in caplog.messages[-1]


def test_what_is_over_at_the_second_look_is_not_logged(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.store.given = {"leader": ""}
    scene.goes(1)
    scene.store.given = {}
    scene.goes(10)
    assert lines(caplog) == []


def test_what_the_leader_logs_itself_is_left_to_it(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.election.leading = True
    scene.store.given = {"circuit_count": 1, "circuits": [("a", 5)], "accounting_off": 2}
    scene.goes(10)
    assert lines(caplog) == ["accounting_off"]


def test_a_loop_that_hangs_is_logged_and_reported_with_its_place(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.goes(5)
    scene.goes(HANGS_AFTER_MS // 1_000 + 1, ticks=False)
    assert lines(caplog) == ["tick_hangs"]
    report = scene.store.reports["n"]
    assert report["where"] == "beta pid 2"
    assert "test_health_watch.py" in report["hangs"]["what"]
    scene.goes(5)
    assert lines(caplog) == ["tick_hangs"] * 2
    assert scene.store.reports == {}


def test_an_entry_whose_message_does_not_get_built_is_not_built_by_the_next_leader(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.goes(2)
    scene.report.building = BeingBuilt("a", "digest", scene.clock.monotonic_us())
    scene.goes(3, ticks=False)
    assert scene.store.circuits == {}
    scene.goes(1, ticks=False)
    (circuit,) = scene.store.circuits.values()
    assert circuit.hangs
    assert circuit.pause_ms == LONGEST_PAUSE_MS
    assert not circuit.is_probed(circuit.since_ms + LONGEST_PAUSE_MS - 1)
    assert "test_health_watch.py" in circuit.why
    assert lines(caplog) == ["circuit_opened"]
    scene.report.building = None
    scene.goes(2)
    assert scene.store.circuits == {}


def test_an_entry_whose_task_hangs_while_it_sends_its_message_itself_gets_a_circuit_too(
    scene: Scene,
) -> None:
    scene.goes(2)
    scene.sending = BeingBuilt("a", "", scene.clock.monotonic_us())
    scene.goes(4, ticks=False)
    assert list(scene.store.circuits) == ["a"]


def test_a_process_that_was_suspended_while_it_built_a_message_blames_no_entry(
    scene: Scene,
) -> None:
    scene.goes(2)
    scene.report.building = BeingBuilt("a", "digest", scene.clock.monotonic_us())
    scene.goes(1, ticks=False)
    scene.clock.advance(600_000)
    scene.watch.beat()
    assert scene.store.circuits == {}


def test_messages_that_take_long_one_after_another_are_each_a_message_of_its_own(
    scene: Scene,
) -> None:
    scene.goes(2)
    for _ in range(10):
        scene.report.building = BeingBuilt("a", "digest", scene.clock.monotonic_us())
        scene.goes(2, ticks=False)
    assert scene.store.circuits == {}


def test_without_redis_an_entry_that_hangs_is_named_as_soon_as_it_is_back(scene: Scene) -> None:
    scene.goes(2)
    scene.store.away = True
    scene.report.building = BeingBuilt("a", "digest", scene.clock.monotonic_us())
    scene.goes(10, ticks=False)
    assert scene.store.circuits == {}
    scene.store.away = False
    scene.goes(1, ticks=False)
    assert list(scene.store.circuits) == ["a"]


def test_what_is_reported_is_short_however_long_the_error(scene: Scene) -> None:
    scene.election.leading = True
    scene.report.broker_error = scene.report.tick_error = "x" * 1_000_000
    scene.report.waits.note("e", "y" * 1_000_000, REDIS_MS, REDIS_MS + 60_000)
    scene.goes(8)
    assert len(str(scene.store.reports["n"])) < 2_000


def test_what_begins_or_ends_is_reported_within_a_second(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.election.leading = True
    scene.goes(4)
    scene.failing = "the receiver x.y hangs"
    scene.goes(1)
    assert scene.store.reports["n"]["receivers"]["what"] == "the receiver x.y hangs"
    scene.report.waits.note("e", "its schedule fails", REDIS_MS, REDIS_MS + 60_000)
    scene.goes(1)
    assert [each["entry"] for each in scene.store.reports["n"]["waiting"]] == ["e"]
    scene.failing = ""
    scene.report.waits.over("e")
    scene.goes(1)
    assert scene.store.reports == {}


def test_without_redis_news_is_no_reason_to_ask_more_often(scene: Scene) -> None:
    scene.goes(4)
    scene.store.away = True
    looks: list[int] = []
    read = scene.store.read

    def counted(grace_ms: int) -> Read:
        looks.append(grace_ms)
        return read(grace_ms)

    scene.store.read = counted  # type: ignore[method-assign]
    scene.failing = "the receiver x.y hangs"
    scene.goes(12)
    assert len(looks) <= 12_000 // LOOK_EVERY_MS + 1


def test_a_change_of_leader_is_not_logged_once_more(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.store.given = {"leader_cause": "expired", "leader_since_ms": REDIS_MS}
    scene.goes(8)
    assert [each.code for each in scene.watch.findings] == ["leader_acquired"]
    assert lines(caplog) == []


def test_trouble_of_this_process_is_reported_while_it_lasts(scene: Scene) -> None:
    scene.election.leading = True
    scene.report.broker_error, scene.report.tick_error = "refused", "ValueError()"
    scene.report.waits.note("e", "its schedule fails", REDIS_MS, REDIS_MS + 60_000)
    scene.goes(8)
    report = scene.store.reports["n"]
    assert report["broker"]["what"] == "refused"
    assert report["ticks"]["what"] == "ValueError()"
    assert [each["entry"] for each in report["waiting"]] == ["e"]
    scene.report.broker_error = scene.report.tick_error = ""
    scene.report.waits.over("e")
    scene.goes(8)
    assert scene.store.reports == {}


def test_calendars_without_effect_are_reported_and_logged_as_worth_a_look(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.election.leading = True
    for waits, name in (
        (scene.report.missing_calendars, "gone"),
        (scene.report.ended_calendars, "past"),
    ):
        waits.note("e", name, REDIS_MS, REDIS_MS + 60_000)
    scene.goes(4)
    report = scene.store.reports["n"]
    assert [report[f"calendars_{word}"][0]["why"] for word in ("missing", "ended")] == [
        "gone",
        "past",
    ]
    given = [Waiting("e", REDIS_MS, "gone")]
    scene.store.given = {"missing_calendars": given, "ended_calendars": given}
    scene.goes(10)
    assert lines(caplog) == ["calendar_ended"], "the leader's loop logs what is missing"
    assert caplog.messages[-1].startswith("habeat: deserves a look: entry 'e' names")


def test_all_is_well_only_while_the_loop_works_and_slots_get_outcomes(scene: Scene) -> None:
    scene.goes(3)
    assert scene.watch.is_well
    scene.report.redis_error = "away"
    assert not scene.watch.is_well
    scene.report.redis_error = ""
    scene.store.given = {"overdue": DUE, "overdue_count": 2}
    scene.goes(3)
    assert not scene.watch.is_well


@pytest.mark.parametrize("reaches_broker", [True, False])
def test_a_standby_that_reaches_the_broker_suspects_a_wedged_leader(
    scene: Scene, reaches_broker: bool, caplog: pytest.LogCaptureFixture
) -> None:
    scene.store.given = {"overdue": DUE, "overdue_count": 2}
    for _ in range((WEDGED_AFTER_MS + 2 * LOOK_EVERY_MS) // 1_000):
        if reaches_broker:
            scene.replica.broker_ok_ms = REDIS_MS + scene.clock.us // 1_000
        scene.goes(1)
    assert scene.suspects == (["7:a"] if reaches_broker else [])
    assert ("leader_wedged" in lines(caplog)) is reaches_broker


def test_neither_a_leader_nor_an_inert_replica_suspects(scene: Scene) -> None:
    scene.store.given = {"overdue": DUE, "overdue_count": 2}
    scene.replica.broker_ok_ms = REDIS_MS + 10**9
    scene.election.inert = "another app's keys"
    scene.goes(20)
    scene.election.inert, scene.election.leading = "", True
    scene.goes(20)
    assert scene.suspects == []


def test_while_redis_is_away_nothing_is_concluded(scene: Scene) -> None:
    scene.store.given = {"overdue": DUE, "overdue_count": 2}
    scene.replica.broker_ok_ms = REDIS_MS + 10**9
    for _ in range(10):
        scene.store.away = False
        scene.goes(2)
        scene.store.away = True
        scene.goes(2)
    assert scene.suspects == []


def test_far_standbys_look_seldom(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    read = scene.store.read
    monkeypatch.setattr(scene.store, "read", lambda ms: looks.append(ms) or read(ms))
    scene.goes(20)
    close = len(looks)
    scene.replica.rank = 5
    scene.goes(20)
    assert (close, len(looks) - close) == (7, 2)


def test_the_dump_has_the_state_and_the_stacks_and_no_values(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "hush-" + "hush"
    scene.watch.dump()
    scene.goes(1)
    text = "\n".join(caplog.messages)
    assert "beta pid 2, role standby, lease 7:a" in text
    assert "thread MainThread" in text
    assert secret not in text


def test_the_place_of_a_thread_names_the_users_code_before_the_library() -> None:
    ready, done = threading.Event(), threading.Event()

    def waits_here() -> None:
        ready.set()
        done.wait(20)

    thread = threading.Thread(target=waits_here)
    thread.start()
    ready.wait(20)
    place = place_of(thread.ident or 0)
    done.set()
    thread.join(20)
    assert place.partition(" (")[0].endswith("waits_here")
    assert "threading.py" in place
    assert place_of(-1) == ""
    assert any("test_health_watch.py" in line for line in stacks())
