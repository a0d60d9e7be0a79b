"""OpenTelemetry: the metrics as observable instruments, and a span for each dispatch.

Needs opentelemetry-api: the extra ``habeat[otel]``. Nothing is on until one of these is called:

.. code-block:: python

    from habeat.contrib.opentelemetry import observe, trace_dispatches

    observe(app)           # metrics; in any process
    trace_dispatches(app)  # spans; in the module that beat imports

Neither of them touches a message or the loop that sends it. The metrics are read from Redis when
they are collected. A span is made by a receiver of `habeat.signals.slot_dispatched`, after the fact
and in another thread, with the times that the ledger has.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from celery.signals import after_task_publish

from habeat import signals
from habeat.clock import SystemClock
from habeat.core.lateness import Lateness
from habeat.errors import MissingPackage
from habeat.metrics.samples import Sample, cumulative
from habeat.metrics.source import Source, source_of_app
from habeat.metrics.table import METRICS, Metric
from habeat.printable import printable

SCOPE = "habeat"
#: All instruments of one collection share a reading of Redis.
SAME_READING_US = 1_000_000
#: Messages whose dispatch has not been signalled yet; a claim that was refused stays until then.
REMEMBERED = 10_000
#: The instrumentation of Celery that gives each message a span.
INSTRUMENTATION = "opentelemetry.instrumentation.celery"


# -- metrics ------------------------------------------------------------------------------------


def observe(app: Any, meter_provider: Any = None) -> None:
    """Observe all metrics of this Celery app's schedule. SettingsError, MissingPackage.

    The instruments are named as in the table of metrics, with dots and units as OpenTelemetry has
    them: habeat_firings_total is habeat.firings. A histogram becomes three counters, with the ends
    .bucket (by `le`), .count and .sum, because nothing else can be observed of one. Call it in the
    process that exports, after it was forked.
    """
    metrics = _api().metrics
    meter = metrics.get_meter(SCOPE, meter_provider=meter_provider)
    reading = _Reading(source_of_app(app))
    for metric in METRICS:
        name, unit = instrument_of(metric)
        if metric.kind != "histogram":
            make = _maker(meter, metric.kind)
            make(name, [partial(_values, reading, metric)], unit, metric.help)
            continue
        for part, part_unit in (("bucket", "1"), ("count", "1"), ("sum", unit)):
            callback = partial(_parts, reading, metric, part)
            _maker(meter, "counter")(f"{name}.{part}", [callback], part_unit, metric.help)


def instrument_of(metric: Metric) -> tuple[str, str]:
    """The name and the unit of a metric's instrument."""
    bare = metric.name.removeprefix("habeat_").removesuffix("_total")
    return "habeat." + bare.removesuffix("_seconds"), "s" if bare.endswith("_seconds") else "1"


class _Reading:
    """The samples, read once for all instruments of a collection."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._clock = SystemClock()
        self._lock = threading.Lock()
        self._read_us: int | None = None
        self._samples: Sequence[Sample] = ()

    def of(self, metric: Metric) -> Iterator[Sample]:
        with self._lock:
            now_us = self._clock.monotonic_us()
            if self._read_us is None or now_us - self._read_us > SAME_READING_US:
                self._samples = list(self._source.samples())
                self._read_us = self._clock.monotonic_us()
            found = self._samples
        return (each for each in found if each.metric is metric)


def _values(reading: _Reading, metric: Metric, _options: object) -> Iterator[Any]:
    observation = _api().metrics.Observation
    for _, labels, value in reading.of(metric):
        yield observation(value, dict(zip(metric.labels, labels, strict=True)))


def _parts(reading: _Reading, metric: Metric, part: str, _options: object) -> Iterator[Any]:
    observation = _api().metrics.Observation
    for _, labels, value in reading.of(metric):
        assert isinstance(value, Lateness)
        attributes: dict[str, Any] = dict(zip(metric.labels, labels, strict=True))
        rising, total_s = cumulative(value)
        if part == "bucket":
            for bound, count in rising:
                le = "+Inf" if bound == float("inf") else str(bound)
                yield observation(count, {**attributes, "le": le})
        else:
            yield observation(total_s if part == "sum" else value.count, attributes)


def _maker(meter: Any, kind: str) -> Callable[..., Any]:
    made = meter.create_observable_counter if kind == "counter" else meter.create_observable_gauge
    return made  # type: ignore[no-any-return]


# -- spans --------------------------------------------------------------------------------------


def trace_dispatches(app: Any, tracer_provider: Any = None) -> None:
    """Make a span for each message that beat sends, from its effective time to the broker.

    If OpenTelemetry's instrumentation of Celery is imported before, each message has a span of its
    own, which the worker continues; the span of the dispatch links to it. MissingPackage.
    """
    api = _api()
    tracer = api.trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
    spans = _Spans(tracer)
    uid = f"habeat spans {id(app)}"
    signals.slot_dispatched.connect(spans.dispatched, sender=app, weak=False, dispatch_uid=uid)
    if INSTRUMENTATION in sys.modules:
        # Celery's instrumentation has receivers itself, so no templates are used anyway.
        after_task_publish.connect(spans.published, weak=False, dispatch_uid=uid)


class _Spans:
    """Makes the spans; remembers the context of each message until its dispatch is signalled."""

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer
        self._lock = threading.Lock()
        self._contexts: OrderedDict[str, Any] = OrderedDict()

    def published(self, headers: object = None, **_: Any) -> None:
        """Beat has built a message."""
        if not isinstance(headers, Mapping) or "habeat_entry" not in headers:
            return
        api = _api()
        context = api.trace.get_current_span(api.propagate.extract(headers)).get_span_context()
        if context.is_valid:
            with self._lock:
                self._contexts[str(headers.get("id"))] = context
                while len(self._contexts) > REMEMBERED:
                    self._contexts.popitem(last=False)

    def dispatched(self, entry: str, slot: datetime, at: datetime, **facts: Any) -> None:
        """A message is in the broker, since `at`."""
        late = timedelta(milliseconds=facts.get("lateness_ms") or 0)
        with self._lock:
            context = self._contexts.pop(str(facts.get("task_id")), None)
        attributes = {
            "habeat.entry": printable(entry),
            "habeat.slot": slot.isoformat(timespec="milliseconds"),
            **{
                f"habeat.{name}": facts[name]
                for name in ("outcome", "reason", "lateness_ms", "attempt", "request_id", "replica")
                if facts.get(name) not in (None, "")
            },
            "messaging.message.id": str(facts.get("task_id")),
        }
        links = [] if context is None else [_api().trace.Link(context)]
        span = self._tracer.start_span(
            "habeat.dispatch", attributes=attributes, links=links, start_time=_ns(at - late)
        )
        span.end(end_time=_ns(at))


def _ns(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000) * 1_000_000


def _api() -> Any:
    try:
        import opentelemetry.metrics
        import opentelemetry.propagate
        import opentelemetry.trace
    except ImportError as error:
        raise MissingPackage("opentelemetry-api", "otel", "metrics and spans") from error
    return opentelemetry
