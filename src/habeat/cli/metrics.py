"""``metrics``: what the endpoint of a beat exposes, read once and printed."""

from __future__ import annotations

import click

from habeat.cli.group import bad, client_app, command, json_option
from habeat.cli.printing import say_json
from habeat.client import Client
from habeat.core.lateness import Lateness
from habeat.metrics.prometheus import written
from habeat.metrics.samples import Sample, cumulative
from habeat.metrics.source import source_of_app

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@command("metrics")
@click.option("--openmetrics", is_flag=True, help="Print OpenMetrics instead of Prometheus' text.")
@json_option
def metrics_command(client: Client, openmetrics: bool, as_json: bool) -> None:
    """Print the metrics of the schedule, as Prometheus reads them.

    Exits with status 1 if Redis does not answer. All but --json needs habeat[prometheus].
    """
    source = source_of_app(client_app())
    try:
        found = list(source.samples())
    finally:
        source.close()
    if as_json:
        say_json([_plain(each) for each in found])
    else:
        body, _ = written(found, OPENMETRICS if openmetrics else "")
        click.echo(body.decode(), nl=False)
    if found[0].value == 0:  # habeat_redis_up
        bad()


def _plain(sample: Sample) -> dict[str, object]:
    metric, labels, value = sample
    shown = {"name": metric.name, "labels": dict(zip(metric.labels, labels, strict=True))}
    if not isinstance(value, Lateness):
        return {**shown, "value": value}
    rising, total_s = cumulative(value)
    within = {"+Inf" if bound == float("inf") else str(bound): count for bound, count in rising}
    return {**shown, "count": value.count, "sum": total_s, "buckets": within}
