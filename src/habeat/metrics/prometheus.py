"""The samples as families of prometheus_client, which writes Prometheus' and OpenMetrics' text.

prometheus_client is imported when it is used: it is the extra ``habeat[prometheus]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from habeat.core.lateness import Lateness
from habeat.errors import MissingPackage
from habeat.metrics.samples import Sample, cumulative
from habeat.metrics.table import METRICS, Metric


class _Registry:
    """What prometheus_client's writers expect: something with a method `collect`."""

    def __init__(self, found: Iterable[Sample]) -> None:
        self._found = found

    def collect(self) -> Iterator[Any]:
        return families(self._found)


def families(found: Iterable[Sample]) -> Iterator[Any]:
    """prometheus_client's metric families with these samples. MissingPackage."""
    core = _core()
    made: dict[str, Any] = {}
    for metric, labels, value in found:
        family = made.get(metric.name)
        if family is None:
            family = made[metric.name] = _family(core, metric)
        if isinstance(value, Lateness):
            rising, total_s = cumulative(value)
            bounds = [("+Inf" if bound == float("inf") else str(bound), n) for bound, n in rising]
            family.add_metric(labels, buckets=bounds, sum_value=total_s)
        else:
            family.add_metric(labels, value)
    yield from made.values()


def described() -> Iterator[Any]:
    """The families of all metrics, without samples. MissingPackage."""
    core = _core()
    return (_family(core, metric) for metric in METRICS)


def written(found: Iterable[Sample], accept: str = "") -> tuple[bytes, str]:
    """The text of an exposition and its content type, by an HTTP Accept header. MissingPackage."""
    _core()
    from prometheus_client.exposition import choose_encoder

    try:
        encode, content_type = choose_encoder(accept)
    except Exception:  # the client's: a version that is not a number
        encode, content_type = choose_encoder("")
    registry: Any = _Registry(found)
    return encode(registry), content_type


def _family(core: Any, metric: Metric) -> Any:
    kinds = {
        "counter": core.CounterMetricFamily,
        "gauge": core.GaugeMetricFamily,
        "histogram": core.HistogramMetricFamily,
    }
    return kinds[metric.kind](metric.name, metric.help, labels=metric.labels)


def _core() -> Any:
    try:
        from prometheus_client import core
    except ImportError as error:
        raise MissingPackage("prometheus_client", "prometheus", "metrics of Prometheus") from error
    return core
