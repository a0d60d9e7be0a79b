"""habeat's metrics in your own Prometheus registry: ``REGISTRY.register(Collector(app))``.

Needs prometheus_client: the extra ``habeat[prometheus]``. Redis is read when the registry is
scraped, so the process needs no beat, and its values are the same as those of any other process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from habeat.metrics.prometheus import described, families
from habeat.metrics.source import Source, source_of_app


class Collector:
    """A collector for prometheus_client's registries, for the schedule of this Celery app.

    The app's settings are read at the first scrape. If Redis does not answer, the only metric is
    habeat_redis_up, which is 0. MissingPackage without prometheus_client.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._source: Source | None = None

    def describe(self) -> Iterator[Any]:
        """All families, without reading anything; the registry calls it for their names."""
        return described()

    def collect(self) -> Iterator[Any]:
        """All families with their samples, as read now."""
        if self._source is None:
            self._source = source_of_app(self._app)
        return families(self._source.samples())
