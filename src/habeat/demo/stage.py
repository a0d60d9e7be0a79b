"""The stage: the demo's processes, what is seen of them, and the events shown on the screen."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from habeat.demo.children import Children, DemoFailed
from habeat.demo.location import Location
from habeat.demo.server import NAME as REDIS
from habeat.demo.watch import View, Watch

WORKER = "worker"
BEATS = ("beat-1", "beat-2", "beat-3")
LOOK_EVERY_S = 0.2
_CELERY = (sys.executable, "-m", "celery", "-A", "habeat.demo.app")


@dataclass
class Scene:
    """What a screen shows: the last status read, the state of each beat, and the events."""

    title: str
    host: str
    length_s: float = 0.0
    started_us: int = 0
    view: View | None = None
    pids: dict[str, int] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    news: list[tuple[float, str]] = field(default_factory=list)

    @property
    def leader(self) -> str | None:
        """The name of the beat that leads; None if none does."""
        pid = self.view.leader_pid if self.view else None
        return next((name for name in BEATS if pid and self.pids.get(name) == pid), None)

    def role(self, name: str) -> str:
        """A beat's current role: leader, standby, starting, or what was done to it."""
        done = self.states.get(name, "")
        if done:
            return done
        if name == self.leader:
            return "leader"
        known = self.view is not None and self.pids.get(name) in self.view.roles
        return "standby" if known else "starting"

    def elapsed_s(self, at_us: int) -> float:
        """Seconds since the demo began, by Redis' clock."""
        return (at_us - self.started_us) / 1e6 if self.started_us else 0.0


class Screen(Protocol):
    """Where a scene is shown."""

    def show(self, scene: Scene) -> None: ...

    def news(self, scene: Scene, at_s: float, text: str) -> None: ...


class Stage:
    """Starts processes, looks at them, waits for conditions and reports events."""

    def __init__(
        self, children: Children, location: Location, watch: Watch, screen: Screen, scene: Scene
    ) -> None:
        self.children = children
        self.watch = watch
        self.scene = scene
        self._location = location
        self._screen = screen
        scene.started_us = watch.now_us()

    def start_worker(self) -> None:
        """Start one worker with two processes."""
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        self.children.start(
            WORKER,
            [*_CELERY, "worker", "-c", "2", "-l", "INFO", "-n", "worker@demo", *quiet],
            {**self._location.environment(), "C_FORCE_ROOT": "1"},
        )

    def start_beat(self, name: str) -> None:
        """Start an ordinary `celery beat -S habeat`."""
        command = [*_CELERY, "beat", "-S", "habeat", "--pidfile=", "-l", "INFO"]
        self.scene.pids[name] = self.children.start(name, command, self._location.environment())
        self.scene.states[name] = ""

    def hit(self, name: str, number: signal.Signals, becomes: str) -> int:
        """Send a signal to a beat; returns Redis' time in µs just before."""
        at_us = self.watch.now_us()
        self.scene.states[name] = becomes
        self.children.signal(name, number)
        return at_us

    def look(self) -> View:
        """Look at Redis and at the processes; DemoFailed if a process ended unexpectedly."""
        for name, status in self.children.exits().items():
            if status is not None and not self.scene.states.get(name):
                raise DemoFailed(
                    f"{name} ended by itself (exit status {status})", self.children.tail(name)
                )
        view = self.scene.view = self.watch.look()
        self._screen.show(self.scene)
        return view

    def wait_until(self, met: Callable[[View], bool], within_s: float) -> View | None:
        """Look until `met` returns true; None if that takes longer than `within_s`."""
        deadline = time.monotonic() + within_s
        while True:
            view = self.look()
            if met(view):
                return view
            if time.monotonic() > deadline:
                return None
            time.sleep(LOOK_EVERY_S)

    def need(self, met: Callable[[View], bool], within_s: float, what: str) -> View:
        """The same, for a condition that the demo needs; DemoFailed if it is not met in time."""
        view = self.wait_until(met, within_s)
        if view is None:
            raise DemoFailed(f"no {what} within {within_s:g} s", self.logs())
        return view

    def logs(self) -> str:
        """The last lines of each process's output."""
        names = (REDIS, WORKER, *BEATS)
        return "\n".join(tail for name in names if (tail := self.children.tail(name)))

    def watch_until(self, elapsed_s: float) -> None:
        """Look until `elapsed_s` seconds of the demo have passed."""
        left_s = elapsed_s - self.scene.elapsed_s(self.watch.now_us())
        self.wait_until(lambda view: self.scene.elapsed_s(view.now_us) >= elapsed_s, left_s + 1)

    def report(self, text: str, at_us: int | None = None) -> None:
        """Report an event, which happened at `at_us` (default: now)."""
        at_s = self.scene.elapsed_s(self.watch.now_us() if at_us is None else at_us)
        self.scene.news.append((at_s, text))
        self._screen.news(self.scene, at_s, text)
        self._screen.show(self.scene)
