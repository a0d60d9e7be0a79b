"""The text that Prometheus reads, and what happens without prometheus_client."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest

from habeat.core.lateness import Lateness
from habeat.errors import MissingPackage
from habeat.metrics.prometheus import written
from habeat.metrics.samples import redis_down, samples
from habeat.metrics.table import METRICS
from tests.unit.metrics.test_samples import FIGURES, entry

parser = pytest.importorskip("prometheus_client.parser")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
HOSTILE = 'a"} 1\n# TYPE x \\ counter\u2028{}'


def parsed(text: bytes) -> dict[str, Any]:
    return {each.name: each for each in parser.text_string_to_metric_families(text.decode())}


def test_prometheus_text_is_read_back_with_kinds_and_values() -> None:
    given = replace(FIGURES, lateness=Lateness({20: 3}, 20), entries=7)
    body, content_type = written(samples(given))
    assert content_type.startswith("text/plain; version=")
    found = parsed(body)
    assert found["habeat_lateness_seconds"].type == "histogram"
    values = {(each.name, each.labels.get("le")): each.value for each in found[
        "habeat_lateness_seconds"
    ].samples}  # fmt: skip
    assert values["habeat_lateness_seconds_bucket", "0.01"] == 0
    assert values["habeat_lateness_seconds_bucket", "0.05"] == 3
    assert values["habeat_lateness_seconds_count", None] == 3
    assert found["habeat_firings"].type == "counter"


def test_openmetrics_is_written_to_those_who_accept_it() -> None:
    body, content_type = written(samples(FIGURES), OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize("more", ["version=abc", "version=", ";;==;q=x", "escaping=\xe9"])
def test_a_hostile_accept_header_gets_an_answer(more: str) -> None:
    body, _ = written(samples(FIGURES), f"application/openmetrics-text; {more}")
    assert b"habeat_redis_up 1.0" in body


def test_a_hostile_name_is_one_label_and_nothing_else() -> None:
    body, _ = written(samples(replace(FIGURES, listed=[entry(HOSTILE, fired_ms=5_000)])))
    found = parsed(body)
    assert set(found) <= {each.name.removesuffix("_total") for each in METRICS}
    (sample,) = found["habeat_entry_last_fired_timestamp_seconds"].samples
    assert sample.value == 5
    assert sample.labels["entry"] == 'a"} 1\\n# TYPE x \\ counter\\u2028{}'


def test_without_redis_the_text_says_so_and_nothing_else() -> None:
    body, _ = written(redis_down())
    assert [each for each in body.decode().splitlines() if not each.startswith("#")] == [
        "habeat_redis_up 0.0"
    ]


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingPackage, match=r"pip install 'habeat\[prometheus\]'"):
        written(samples(FIGURES))
