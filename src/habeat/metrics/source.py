"""Reads the samples over connections of its own, so that no scrape delays anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from habeat.config import Settings
from habeat.core.health import Finding, assess
from habeat.metrics.samples import Sample, redis_down, samples
from habeat.ports import StoreUnavailable
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.figures import Figures, read_figures
from habeat.store.health import HealthStore
from habeat.store.keys import Keys

Result = TypeVar("Result")

#: Prometheus waits 10 s for a scrape, which takes five round trips or more.
TIMEOUT_S = 1.0


class Source:
    """Reads whenever it is called; threads may share it, and a forked child may use it."""

    def __init__(self, settings: Settings) -> None:
        self._connections = Connections(
            settings.redis, socket_timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S
        )
        self._caller = Caller(self._connections, Keys(settings.key_prefix))
        self._listed = settings.metrics_entries
        self._grace_ms = settings.misfire_grace_ms

    def answers(self) -> bool:
        """Whether Redis answers."""
        try:
            return self._twice(lambda: bool(self._caller.run("read")))
        except StoreUnavailable:
            return False

    def samples(self) -> Iterable[Sample]:
        """The samples; without Redis, the only one says so."""
        try:
            figures, findings = self._twice(self._read)
        except StoreUnavailable:
            return redis_down()
        return samples(figures, findings)

    def _read(self) -> tuple[Figures, Sequence[Finding]]:
        figures = read_figures(self._caller, self._listed)
        return figures, assess(HealthStore(self._caller).read(self._grace_ms).facts)

    def _twice(self, read: Callable[[], Result]) -> Result:
        """Read, and once more over a new connection: an idle one may have been closed."""
        try:
            return read()
        except StoreUnavailable as error:
            if error.fault != "unreachable":
                raise
            return read()

    def close(self) -> None:
        """Disconnect; a later call connects again."""
        self._connections.close()


def source_of_app(app: Any) -> Source:
    """What reads the samples of a Celery app's schedule. SettingsError."""
    return Source(Settings.from_conf(app.conf, app_main=app.main))
