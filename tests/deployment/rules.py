"""The alert rules of deploy/monitoring, for tests: as they are, and with short times."""

from __future__ import annotations

import re
from typing import Any

from tests.deployment import DEPLOY

MONITORING = DEPLOY / "monitoring"

#: Limits of time in expressions, by alert, and the ones that a test of seconds has instead.
SHORT = {
    "HabeatBeatStuck": ("> 60", "> 2"),
    "HabeatNothingSent": ("> 30", "> 2"),
    "HabeatLate": ("> 5", "> 1"),
}


def shipped() -> dict[str, dict[str, Any]]:
    """The rules by the name of the alert."""
    import yaml

    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def hastened() -> dict[str, Any]:
    """The same rules with ranges and delays of seconds, as a file of rules."""
    return {"groups": [{"name": "habeat", "rules": [_short(each) for each in shipped().values()]}]}


def _short(rule: dict[str, Any]) -> dict[str, Any]:
    expr = re.sub(r"\[(10m|1h)\]", "[5s]", rule["expr"])
    given, instead = SHORT.get(rule["alert"], ("", ""))
    assert given in expr
    short = {**rule, "expr": expr.replace(given, instead) if given else expr}
    return {**short, "for": "500ms"} if "for" in rule else short
