"""Where one run of the demo lives in Redis: its URL, and what the names of its keys begin with."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from habeat.errors import SettingsError

LEASE_TTL_S = 3.0
_URL, _NAME, _TTL = "HABEAT_DEMO_URL", "HABEAT_DEMO_NAME", "HABEAT_DEMO_LEASE_TTL"


@dataclass(frozen=True)
class Place:
    """`name` is this run's own, so nothing else in that Redis is touched."""

    url: str
    name: str
    lease_ttl_s: float = LEASE_TTL_S

    @classmethod
    def on(cls, url: str) -> Place:
        """A new place; SettingsError for a URL that the demo does not take."""
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise SettingsError(
                "HABEAT_REDIS_URL",
                "the demo needs one Redis server: HABEAT_REDIS_URL must begin with redis://, "
                "rediss:// or unix://",
            )
        return cls(url, f"habeat-demo-{secrets.token_hex(4)}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Place:
        """The place that the demo gave its children."""
        ttl_s = float(environment.get(_TTL, LEASE_TTL_S))
        return cls(environment[_URL], environment[_NAME], ttl_s)

    def environment(self) -> dict[str, str]:
        """What `from_environment` reads."""
        return {_URL: self.url, _NAME: self.name, _TTL: str(self.lease_ttl_s)}

    @property
    def broker_url(self) -> str:
        """The same Redis in kombu's words."""
        return self.url.replace("unix://", "redis+socket://", 1)

    @property
    def prefix(self) -> str:
        """What habeat's own keys begin with (inside braces)."""
        return self.name

    @property
    def broker_prefix(self) -> str:
        """What the broker's keys begin with."""
        return f"{self.name}:broker:"

    @property
    def queue(self) -> str:
        """The queue of all tasks."""
        return "demo"

    @property
    def tally(self) -> str:
        """The hash in which the worker counts: "slot entry" → how often it ran."""
        return f"{self.name}:tally"

    @property
    def patterns(self) -> tuple[str, ...]:
        """All keys of this run, as SCAN's MATCH has them."""
        return f"{self.name}:*", f"{{{self.name}}}:*"
