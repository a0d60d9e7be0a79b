"""OpenTelemetry with the SDK's exporters in memory: what is observed, and which spans are made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery
from celery.signals import after_task_publish

from habeat import signals
from habeat.beat.message.template_limits import is_watched
from habeat.contrib import opentelemetry as contrib
from habeat.contrib.opentelemetry import instrument_of, observe, trace_dispatches
from habeat.core.lateness import Lateness
from habeat.metrics.samples import samples
from habeat.metrics.table import BUCKETS_S, METRICS
from tests.unit.metrics.test_samples import FIGURES, entry

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import propagate, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SLOT = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
AT = datetime(2027, 1, 15, 8, 0, 1, 500_000, tzinfo=UTC)
FACTS = {
    "entry": "digest",
    "slot": SLOT,
    "at": AT,
    "outcome": "late",
    "reason": "",
    "lateness_ms": 1_200,
    "attempt": 1,
    "task_id": "a-b-c",
    "request_id": None,
    "replica": "r1",
    "host": "h",
    "count": 1,
    "until": SLOT,
}


@pytest.fixture
def app() -> Iterator[Celery]:
    made = Celery("proj", broker="redis://127.0.0.1:1/0")
    yield made
    uid = f"habeat spans {id(made)}"
    signals.slot_dispatched.disconnect(sender=made, dispatch_uid=uid)
    after_task_publish.disconnect(dispatch_uid=uid)


# -- metrics


class Counted:
    """A source of fixed samples that counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def samples(self) -> Any:
        self.reads += 1
        listed = [entry("e", lateness=Lateness({3: 2}, 3), outcomes={"missed": 4})]
        return samples(replace(FIGURES, listed=listed, overdue=2, lateness=Lateness({3: 2}, 3)))


@pytest.fixture
def observed(app: Celery, monkeypatch: pytest.MonkeyPatch) -> tuple[Counted, dict[str, Any]]:
    """The source, and the data points of one collection by name."""
    source = Counted()
    monkeypatch.setattr(contrib, "source_of_app", lambda _: source)
    reader = InMemoryMetricReader()
    observe(app, MeterProvider([reader]))
    data = reader.get_metrics_data()
    assert data is not None
    (scope,) = data.resource_metrics[0].scope_metrics
    return source, {each.name: each for each in scope.metrics}


def points(metric: Any) -> dict[tuple[tuple[str, str], ...], float]:
    return {tuple(sorted(each.attributes.items())): each.value for each in metric.data.data_points}


def test_gauges_and_counters_are_observed_with_their_labels(
    observed: tuple[Counted, dict[str, Any]],
) -> None:
    _, found = observed
    assert points(found["habeat.overdue_entries"]) == {(): 2}
    assert points(found["habeat.entry_firings"])[("entry", "e"), ("outcome", "missed")] == 4
    assert found["habeat.entry_firings"].data.is_monotonic
    assert found["habeat.oldest_due"].unit == "s"


def test_a_histogram_is_three_counters(observed: tuple[Counted, dict[str, Any]]) -> None:
    _, found = observed
    buckets = points(found["habeat.lateness.bucket"])
    assert len(buckets) == len(BUCKETS_S) + 1
    assert buckets[(("le", "0.01"),)] == buckets[(("le", "+Inf"),)] == 2
    assert points(found["habeat.lateness.count"]) == {(): 2}
    assert points(found["habeat.lateness.sum"]) == {(): 0.006}


def test_one_collection_reads_redis_once(observed: tuple[Counted, dict[str, Any]]) -> None:
    assert observed[0].reads == 1


def test_every_metric_has_an_instrument_of_its_own() -> None:
    names = [instrument_of(each)[0] for each in METRICS]
    assert len(set(names)) == len(names)


# -- spans


class Traced:
    """A provider, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def spans(self) -> Any:
        return self._exporter.get_finished_spans()


def dispatched(app: Celery, **more: Any) -> None:
    signals.slot_dispatched.send(sender=app, **FACTS | more)


def test_a_dispatch_is_a_span_from_its_effective_time_to_the_broker(app: Celery) -> None:
    traced = Traced()
    trace_dispatches(app, traced.provider)
    dispatched(app)
    (span,) = traced.spans()
    assert span.name == "habeat.dispatch"
    assert span.end_time == round(AT.timestamp() * 1_000) * 10**6
    assert span.end_time - span.start_time == 1_200 * 10**6
    assert span.attributes == {
        "habeat.entry": "digest",
        "habeat.slot": "2027-01-15T08:00:00.000+00:00",
        "habeat.outcome": "late",
        "habeat.lateness_ms": 1_200,
        "habeat.attempt": 1,
        "habeat.replica": "r1",
        "messaging.message.id": "a-b-c",
    }
    assert span.links == ()


def test_dispatches_of_another_app_are_not_traced(app: Celery) -> None:
    traced = Traced()
    trace_dispatches(app, traced.provider)
    dispatched(Celery("other"))
    assert traced.spans() == ()


def test_without_the_instrumentation_of_celery_templates_stay(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, contrib.INSTRUMENTATION, raising=False)
    trace_dispatches(app, Traced().provider)
    assert not is_watched()


def published(app: Celery, traced: Traced, **headers: str) -> Any:
    """A message with a span of its own, as the instrumentation of Celery makes it."""
    with traced.provider.get_tracer("celery").start_as_current_span("apply_async") as span:
        propagate.inject(headers)
    after_task_publish.send(sender="t", headers=headers)
    return span.get_span_context()


def test_the_span_links_to_that_of_the_message(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, contrib.INSTRUMENTATION, trace)
    traced = Traced()
    trace_dispatches(app, traced.provider)
    context = published(app, traced, id="a-b-c", habeat_entry="digest")
    published(app, traced, id="not-of-habeat")
    dispatched(app)
    dispatched(app, task_id="not-of-habeat")
    links = [each.links for each in traced.spans() if each.name == "habeat.dispatch"]
    assert [link.context.span_id for link in links[0]] == [context.span_id]
    assert [link.context.trace_id for link in links[0]] == [context.trace_id]
    assert links[1] == ()


def test_messages_whose_dispatch_is_never_signalled_do_not_pile_up(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrib, "REMEMBERED", 3)
    traced = Traced()
    spans = contrib._Spans(traced.provider.get_tracer("t"))
    context = trace.SpanContext(1, 2, is_remote=False)
    carrier: dict[str, str] = {}
    propagate.inject(carrier, trace.set_span_in_context(trace.NonRecordingSpan(context)))
    for number in range(10):
        spans.published(headers={**carrier, "id": str(number), "habeat_entry": "e"})
    assert list(spans._contexts) == ["7", "8", "9"]


def test_nothing_of_it_is_imported_or_connected_unless_it_is_called() -> None:
    code = (
        "import sys, habeat, habeat.cli, habeat.beat.scheduler\n"
        "from celery.signals import after_task_publish\n"
        "assert not after_task_publish.receivers\n"
        "for name in ('contrib.opentelemetry', 'contrib.prometheus', 'beat.http.server'):\n"
        "    assert f'habeat.{name}' not in sys.modules, name\n"
        "assert 'prometheus_client' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
