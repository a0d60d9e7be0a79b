"""Spans of dispatches from real beats, beside OpenTelemetry's own instrumentation of Celery."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.servers.children import until
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import redis_broker
from tests.system.acceptance.fleet import MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

TRACES = """
import json
from celery.signals import beat_init
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from habeat.contrib.opentelemetry import trace_dispatches

class ToFile(SpanExporter):
    def export(self, spans):
        with open("spans", "a") as file:
            for span in spans:
                found = {"name": span.name, "span": span.context.span_id,
                         "late_ns": span.end_time - span.start_time,
                         "links": [each.context.span_id for each in span.links],
                         "attributes": dict(span.attributes)}
                file.write(json.dumps(found) + "\\n")
        return SpanExportResult.SUCCESS

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ToFile()))
trace.set_tracer_provider(provider)

@beat_init.connect(weak=False)
def begin(**_):
    CeleryInstrumentor().instrument()
    trace_dispatches(app)
"""


def test_each_dispatch_has_a_span_that_links_to_its_messages_span(
    make_fleet: MakeFleet, valkey: Server
) -> None:
    pytest.importorskip("opentelemetry.instrumentation.celery")
    broker = redis_broker(valkey)
    fleet = make_fleet(valkey, dict(broker.conf), entries(2), more=TRACES)
    fleet.start(1)

    def spans() -> list[dict[str, Any]]:
        file = fleet.folder / "spans"
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    def dispatches() -> list[dict[str, Any]]:
        return [each for each in spans() if each["name"] == "habeat.dispatch"]

    until(lambda: len(dispatches()) >= 4, 60, fleet.logs)
    fleet.stop()
    found = spans()
    messages = {each["span"] for each in found if each["name"].startswith("apply_async/")}
    sent = {arrival.task_id for arrival in broker.take()}
    for each in dispatches():
        assert len(each["links"]) == 1
        assert set(each["links"]) <= messages
        assert each["attributes"]["messaging.message.id"] in sent
        assert each["late_ns"] == each["attributes"]["habeat.lateness_ms"] * 10**6
