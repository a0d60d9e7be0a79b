"""Missing infrastructure: a skip at home, a failure in CI, where a skip would hide a hole."""

from __future__ import annotations

import os

import pytest


def need(name: str, present: bool, how: str) -> None:
    """Continue if `present`; otherwise skip, or fail if the environment variable CI is set."""
    if present:
        return
    sentence = f"{name} is missing: {how}"
    if os.environ.get("CI"):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
