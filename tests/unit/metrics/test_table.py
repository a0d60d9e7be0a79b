"""The table of metrics follows Prometheus' conventions, and the documentation has the same one."""

from __future__ import annotations

import re

from habeat.metrics.table import METRICS, OWN, Metric
from tests import DOCS


def described(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |"


def test_the_tables_of_the_page_are_those_of_the_code() -> None:
    page = (DOCS / "reference" / "metrics.md").read_text()
    found = re.findall(r"^\| `habeat_.*$", page, re.MULTILINE)
    assert found == [described(each) for each in (*METRICS, *OWN)]


def test_names_are_unique_and_say_kind_and_unit() -> None:
    names = [each.name for each in (*METRICS, *OWN)]
    assert len(set(names)) == len(names)
    for each in (*METRICS, *OWN):
        assert re.fullmatch(r"habeat(_[a-z]+)+", each.name)
        assert each.name.endswith("_total") == (each.kind == "counter")
        assert each.kind != "histogram" or each.name.endswith("_seconds")
        assert each.help.endswith(".")
