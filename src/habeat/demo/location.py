"""Where one run of the demo keeps its data: the URL of a Redis, and the prefix of its keys."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from habeat.errors import SettingsError

LEASE_TTL_S = 3.0
_URL, _NAME, _TTL = "HABEAT_DEMO_URL", "HABEAT_DEMO_NAME", "HABEAT_DEMO_LEASE_TTL"


@dataclass(frozen=True)
class Location:
    """A Redis, and a `name` unique to this run, so that no other keys there are touched."""

    url: str
    name: str
    lease_ttl_s: float = LEASE_TTL_S

    @classmethod
    def on(cls, url: str) -> Location:
        """A new location; SettingsError for a URL that the demo does not support."""
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise SettingsError(
                "HABEAT_REDIS_URL",
                "the demo needs one Redis server: HABEAT_REDIS_URL must begin with redis://, "
                "rediss:// or unix://",
            )
        return cls(url, f"habeat-demo-{secrets.token_hex(4)}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Location:
        """The location that the demo passed to its processes."""
        ttl_s = float(environment.get(_TTL, LEASE_TTL_S))
        return cls(environment[_URL], environment[_NAME], ttl_s)

    def environment(self) -> dict[str, str]:
        """The variables that `from_environment` reads."""
        return {_URL: self.url, _NAME: self.name, _TTL: str(self.lease_ttl_s)}

    @property
    def broker_url(self) -> str:
        """The same Redis as a URL for kombu."""
        return self.url.replace("unix://", "redis+socket://", 1)

    @property
    def prefix(self) -> str:
        """The prefix of habeat's own keys, which is put in braces."""
        return self.name

    @property
    def broker_prefix(self) -> str:
        """The prefix of the broker's keys."""
        return f"{self.name}:broker:"

    @property
    def queue(self) -> str:
        """The queue of all tasks."""
        return "demo"

    @property
    def tally(self) -> str:
        """The hash in which the worker counts runs: "slot entry" → number."""
        return f"{self.name}:tally"

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of all keys of this run, for SCAN's MATCH."""
        return f"{self.name}:*", f"{{{self.name}}}:*"
