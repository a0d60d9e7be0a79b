"""The settings that the loop uses."""

from __future__ import annotations

from dataclasses import dataclass

from habeat.core.entry import Policies

LONGEST_WAIT_MS = 1_000


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Times in milliseconds."""

    ttl_ms: int
    renew_after_ms: int
    publish_timeout_ms: int
    policies: Policies
    outbox_window: int = 50
    longest_wait_ms: int = LONGEST_WAIT_MS
