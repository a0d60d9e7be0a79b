"""deploy/monitoring: every name in it exists, and promtool reads the rules and tries each one."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from habeat.metrics.samples import CAUSES, COUNTED, ROLES
from habeat.metrics.table import BY_NAME
from tests.deployment.conftest import Rendered
from tests.deployment.rules import MONITORING, shipped
from tests.support.servers.needs import need

pytestmark = pytest.mark.slow

FILES = sorted(each for each in MONITORING.rglob("*") if each.is_file())
ALL = 'instance="a:9191", job="habeat"'

#: Series that fire each alert once its own time has passed. `x` runs on at the given step.
SERIES: dict[str, list[tuple[str, str]]] = {
    "HabeatNotScraped": [("other", "1x60")],
    "HabeatRedisDown": [(f"habeat_redis_up{{{ALL}}}", "0x60")],
    "HabeatNoLeader": [(f"habeat_leader{{{ALL}}}", "0x60")],
    "HabeatBeatStuck": [(f"habeat_last_tick_timestamp_seconds{{{ALL}}}", "0x60")],
    "HabeatNoStandby": [(f'habeat_replicas{{{ALL}, role="standby"}}', "0x60")],
    "HabeatReplicaInert": [(f'habeat_replicas{{{ALL}, role="inert"}}', "1x60")],
    "HabeatLeaderChangesOften": [
        (f'habeat_leader_changes_total{{{ALL}, cause="crash"}}', "0+1x60")
    ],
    "HabeatStandbyWithoutBroker": [(f'habeat_broker_up{{{ALL}, host="h", pid="1"}}', "0x60")],
    "HabeatClockSkew": [(f'habeat_clock_skew_seconds{{{ALL}, host="h", pid="1"}}', "-2x60")],
    "HabeatNothingSent": [(f"habeat_oldest_due_seconds{{{ALL}}}", "0+60x60")],
    "HabeatFinding": [(f'habeat_findings{{{ALL}, code="x", severity="error"}}', "1x60")],
    "HabeatEntryFinding": [(f'habeat_entry_finding{{{ALL}, code="x", entry="e"}}', "1x60")],
    "HabeatLate": [
        (f'habeat_lateness_seconds_bucket{{{ALL}, le="5.0"}}', "0+1x60"),
        (f'habeat_lateness_seconds_bucket{{{ALL}, le="10.0"}}', "0+9x60"),
        (f'habeat_lateness_seconds_bucket{{{ALL}, le="+Inf"}}', "0+9x60"),
    ],
    "HabeatSlotsNotFired": [(f'habeat_firings_total{{{ALL}, outcome="missed"}}', "0+1x60")],
    "HabeatEntrySlotsNotFired": [
        (f'habeat_entry_firings_total{{{ALL}, entry="e", outcome="failed"}}', "0+1x60")
    ],
    "HabeatCircuitOpen": [(f"habeat_open_circuits{{{ALL}}}", "1x60")],
    "HabeatQuarantined": [(f'habeat_entries{{{ALL}, state="quarantined"}}', "2x60")],
    "HabeatDeadLetters": [(f"habeat_dead{{{ALL}}}", "1x60")],
    "HabeatDataLost": [(f"habeat_history_lost_timestamp_seconds{{{ALL}}}", "60x60")],
    "HabeatAccountingOff": [(f"habeat_accounting_error{{{ALL}}}", "-1x60")],
}

#: What two beats expose while all is well, except for a slot that was missed long ago.
WELL = [
    (f'{name}{{job="habeat", instance="{instance}"{labels}}}', values)
    for instance in "ab"
    for name, labels, values in (
        ("habeat_redis_up", "", "1x60"),
        ("habeat_leader", "", "1x60"),
        ("habeat_replicas", ', role="standby"', "1x60"),
        ("habeat_replicas", ', role="inert"', "0x60"),
        ("habeat_firings_total", ', outcome="missed"', "7x60"),
        ("habeat_firings_total", ', outcome="sent"', "0+60x60"),
        ("habeat_last_tick_timestamp_seconds", "", "0+60x60"),
        ("habeat_history_lost_timestamp_seconds", "", "0x60"),
        ("habeat_oldest_due_seconds", "", "0 2 0 1 0 0 3x54"),
        ("habeat_clock_skew_seconds", ', host="h", pid="1"', "-0.1x60"),
    )
]


def names_in(text: str) -> set[str]:
    """The metrics that a text names."""
    found = set(re.findall(r"\bhabeat_[a-z_]+\b", text)) - {"habeat_http"}
    return {re.sub(r"_bucket$", "", each) for each in found}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(MONITORING)))
def test_every_metric_that_is_named_exists(file: Path) -> None:
    assert names_in(file.read_text()) <= BY_NAME.keys()


def test_the_rules_and_the_dashboard_name_labels_and_values_that_exist() -> None:
    text = "".join(each.read_text().replace("\\", "") for each in FILES)
    used: dict[str, set[str]] = {}
    for label, values in re.findall(r'(\w+)=~?"([a-z|]+)"', text):
        used.setdefault(label, set()).update(values.split("|"))
    assert used["outcome"] <= {"sent", *COUNTED}
    assert used["role"] <= set(ROLES)
    assert used.get("cause", set()) <= set(CAUSES)
    assert used["state"] <= {"scheduled", "paused", "quarantined"}


def test_the_operators_rules_are_the_same() -> None:
    import yaml

    alerts = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    resource = yaml.safe_load((MONITORING / "kubernetes" / "prometheusrule.yaml").read_text())
    assert resource["spec"] == alerts


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in shipped().values():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "next_step"}
        assert rule["annotations"]["summary"].endswith(".")


def test_the_panels_of_the_dashboard_do_not_overlap_and_have_queries() -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    cells = [
        (x, y)
        for at in (each["gridPos"] for each in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert all(target["expr"] for each in panels for target in each["targets"])


def test_the_component_opens_the_port_and_nothing_else(
    kustomize: Callable[[str], Rendered], container: dict[str, Any]
) -> None:
    documents = {each["kind"]: each for each in kustomize("monitored")}
    (monitored,) = documents["Deployment"]["spec"]["template"]["spec"]["containers"]
    (port,) = monitored.pop("ports")
    assert monitored.pop("env") == [
        *container["env"],
        {"name": "HABEAT_HTTP", "value": f"0.0.0.0:{port['containerPort']}"},
    ]
    assert monitored == {key: value for key, value in container.items() if key != "env"}
    (endpoint,) = documents["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == port["name"]
    labels = documents["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert documents["PodMonitor"]["spec"]["selector"]["matchLabels"] == labels
    assert documents["NetworkPolicy"]["spec"]["ingress"] == [
        {"ports": [{"port": port["containerPort"], "protocol": "TCP"}]}
    ]


def promtool(*command: str | Path) -> str:
    need("promtool", which("promtool") is not None, "apt-get install prometheus")
    done = subprocess.run(
        ["promtool", *map(str, command)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_rules_and_the_example_of_a_configuration(tmp_path: Path) -> None:
    promtool("check", "rules", MONITORING / "alerts.yaml")
    config = (MONITORING / "prometheus.yaml").read_text()
    token = tmp_path / "token"
    token.write_text("x")
    adapted = tmp_path / "prometheus.yaml"
    adapted.write_text(config.replace("/etc/prometheus/habeat-token", str(token)))
    (tmp_path / "alerts.yaml").write_text((MONITORING / "alerts.yaml").read_text())
    promtool("check", "config", adapted)


def test_each_alert_fires_when_its_time_has_passed_and_none_when_all_is_well(
    tmp_path: Path,
) -> None:
    rules = shipped()
    assert SERIES.keys() == rules.keys()
    firing = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                    "eval_time": "30m",
                    "exp_samples": [{"value": 1, "labels": "{}"}],
                }
            ],
        }
        for alert, series in SERIES.items()
    ]
    quiet = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in WELL],
        "promql_expr_test": [
            {"expr": "count(ALERTS)", "eval_time": f"{minute}m", "exp_samples": []}
            for minute in range(0, 60, 5)
        ],
    }
    tests = {"rule_files": [str(MONITORING / "alerts.yaml")], "tests": [*firing, quiet]}
    (tmp_path / "tests.yaml").write_text(json.dumps(tests))
    promtool("test", "rules", tmp_path / "tests.yaml")
