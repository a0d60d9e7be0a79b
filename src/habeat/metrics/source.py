"""Reads the samples over connections of its own, so that no scrape delays anything else."""

from __future__ import annotations

from collections.abc import Iterable

from habeat.config.redis_target import RedisTarget
from habeat.metrics.samples import Sample, redis_down, samples
from habeat.ports import StoreUnavailable
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.figures import Figures, read_figures
from habeat.store.keys import Keys

#: Prometheus waits 10 s for a scrape, which takes four round trips.
TIMEOUT_S = 1.0


class Source:
    """Reads whenever it is called; threads may share it, and a forked child may use it."""

    def __init__(self, target: RedisTarget, prefix: str, listed: int) -> None:
        self._connections = Connections(
            target, socket_timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S
        )
        self._caller = Caller(self._connections, Keys(prefix))
        self._listed = listed

    def figures(self) -> Figures:
        """The figures; StoreUnavailable. It tries twice: an idle connection may have been closed."""
        try:
            return read_figures(self._caller, self._listed)
        except StoreUnavailable as error:
            if error.fault != "unreachable":
                raise
            return read_figures(self._caller, self._listed)

    def samples(self) -> Iterable[Sample]:
        """The samples; without Redis, the only one says so."""
        try:
            return samples(self.figures())
        except StoreUnavailable:
            return redis_down()

    def close(self) -> None:
        """Disconnect; a later call connects again."""
        self._connections.close()
