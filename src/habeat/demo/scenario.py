"""The scenario of the demo: three leaders are lost in three ways, and slots keep firing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from habeat.client import Client
from habeat.demo.entries import SCHEDULES
from habeat.demo.location import LEASE_TTL_S
from habeat.demo.stage import BEATS, WORKER, Stage
from habeat.demo.tally import Tally, count
from habeat.demo.watch import View

SHORTEST_S, DEFAULT_S, LONGEST_S = 15.0, 38.0, 3_600.0
_START_WITHIN_S = 60.0
_TAKEOVER_WITHIN_S = 20.0
_AWAY_S = 2.0


@dataclass(frozen=True)
class Takeover:
    """How a leader was lost, and how long there was none."""

    how: str
    lost: str
    took_over: str
    cause: str
    took_ms: float


def play(stage: Stage, length_s: float) -> Iterator[Takeover]:
    """Play the whole scenario; yields each takeover as it happens."""
    _begin(stage)
    begun_s = stage.scene.elapsed_s(stage.watch.now_us())
    stage.scene.length_s = begun_s + length_s
    stage.watch_until(begun_s + 0.14 * length_s)
    yield _lose_leader(stage, signal.SIGKILL, "killed")
    stage.watch_until(begun_s + 0.40 * length_s)
    yield _lose_leader(stage, signal.SIGTERM, "stopped")
    stage.watch_until(begun_s + 0.64 * length_s)
    yield _freeze_leader(stage)
    stage.watch_until(begun_s + length_s)


def _begin(stage: Stage) -> None:
    stage.start_worker()
    for name in BEATS:
        stage.start_beat(name)
    stage.report(f"starting one worker and {len(BEATS)} beats with {len(SCHEDULES)} entries")
    stage.need(
        lambda view: bool(stage.scene.leader and view.runs) and _all_stand(stage, view),
        _START_WITHIN_S,
        "a leader, two standbys and a first task",
    )
    stage.report(f"{stage.scene.leader} leads, the others stand by")


def _all_stand(stage: Stage, view: View) -> bool:
    return all(stage.scene.pids[name] in view.roles for name in BEATS)


def _lose_leader(stage: Stage, number: signal.Signals, becomes: str) -> Takeover:
    """End the leader's process, and restart it a little later."""
    takeover = _take_over(stage, number, becomes)
    again_us = stage.watch.now_us() + int(_AWAY_S * 1e6)
    stage.wait_until(lambda view: view.now_us >= again_us, _AWAY_S + 1)
    stage.start_beat(takeover.lost)
    stage.report(f"{takeover.lost} was restarted")
    return takeover


def _freeze_leader(stage: Stage) -> Takeover:
    """Freeze the leader's process with its connections; it resumes when another one leads."""
    takeover = _take_over(stage, signal.SIGSTOP, "frozen")
    thaw_us = stage.watch.now_us() + int(LEASE_TTL_S / 2 * 1e6)
    stage.wait_until(lambda view: view.now_us >= thaw_us, LEASE_TTL_S)
    stage.hit(takeover.lost, signal.SIGCONT, "")
    stage.report(f"SIGCONT to {takeover.lost}")
    pid = stage.scene.pids[takeover.lost]
    stage.need(lambda view: view.roles.get(pid) == "standby", 10, f"{takeover.lost} standing by")
    stage.report(f"{takeover.lost} noticed the takeover and stands by")
    return takeover


def _take_over(stage: Stage, number: signal.Signals, becomes: str) -> Takeover:
    before = stage.need(
        lambda view: stage.scene.leader is not None, _TAKEOVER_WITHIN_S, "a leader to lose"
    )
    lost = stage.scene.leader
    assert lost is not None
    at_us = stage.hit(lost, number, becomes)
    stage.report(f"{number.name} to {lost}, the leader", at_us)
    after = stage.need(
        lambda view: bool(view.token) and view.token != before.token and bool(stage.scene.leader),
        _TAKEOVER_WITHIN_S,
        "a takeover",
    )
    takeover = Takeover(
        number.name,
        lost,
        stage.scene.leader or "?",
        after.leader_cause,
        (after.leader_since_us - at_us) / 1_000,
    )
    stage.report(
        f"{takeover.took_over} leads after {takeover.took_ms:,.0f} ms ({takeover.cause})",
        after.leader_since_us,
    )
    return takeover


def final_count(stage: Stage, client: Client) -> Tally:
    """The count of all slots up to now, after waiting for everything that was due."""
    until_ms = stage.watch.now_us() // 1_000
    stage.report("counting every slot up to this moment", until_ms * 1_000)
    so_far = partial(_counted, stage, client, until_ms)
    stage.wait_until(lambda _: not so_far().missed, within_s=8)
    for name in BEATS:
        stage.hit(name, signal.SIGTERM, "stopped")
    stage.wait_until(lambda _: not any(map(stage.children.runs, BEATS)), within_s=5)
    stage.wait_until(lambda _: not stage.watch.waiting_in_broker(), within_s=8)
    stage.scene.states[WORKER] = "stopped"
    return so_far()


def _counted(stage: Stage, client: Client, until_ms: int) -> Tally:
    entries = list(client.list())
    stored = {entry.name for entry in entries}
    if stored != set(SCHEDULES):
        raise AssertionError(f"the stored entries differ from the declared ones: {sorted(stored)}")
    return count(entries, stage.watch.runs_by_slot(), until_ms)
