"""What Python and Lua both write down is the same in both."""

from __future__ import annotations

import re

from habeat.client import calls
from habeat.core.firing import LATE_AFTER_MS
from habeat.store.scripting import source


def test_client_and_scripts_mean_the_same_schema() -> None:
    found = re.findall(r"^local SCHEMA = '([^']*)'$", source("leadership.lua"), re.MULTILINE)
    assert found == [calls.SCHEMA]


def test_python_and_scripts_call_the_same_late() -> None:
    found = re.findall(r"late > (\d+) or", source("common.lua"))
    assert found == [str(LATE_AFTER_MS)]
