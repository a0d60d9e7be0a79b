"""One beat's own paths to Redis and to the broker, on which packets can be lost silently.

As root on Linux the beat lives in a network namespace, and its packets vanish. Elsewhere, a
stalling proxy takes its place: sockets stay open as well, and nothing passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.servers.network import Network, can_have_networks
from tests.support.servers.proxy import Proxy

REDIS, BROKER = 0, 1


@dataclass
class Ways:
    """`targets` are host and port of Redis and of the broker."""

    folder: Path
    targets: Sequence[tuple[str, int]]
    proxies: list[Proxy] = field(default_factory=list)
    network: Network | None = None

    def __post_init__(self) -> None:
        try:
            if can_have_networks():
                self.network = Network(self.folder, len(self.targets))
            for index, (host, port) in enumerate(self.targets):
                listen = self.network.outside[index] if self.network else "127.0.0.1"
                self.proxies.append(Proxy(host, port, listen))
        except BaseException:
            self.close()
            raise

    @property
    def wrapper(self) -> Sequence[str]:
        """The prefix of the beat's command."""
        return self.network.command(()) if self.network else ()

    def lose_requests(self, service: int) -> None:
        """What the beat sends there vanishes, and with it its acknowledgements of what it gets."""
        if self.network:
            self.network.loses_requests(service)
        else:
            self.proxies[service].stall()

    def lose_replies(self) -> None:
        """Everything that is sent to the beat vanishes; what it sends arrives once."""
        if self.network:
            self.network.loses_replies()
        else:
            for way in self.proxies:
                way.stall(requests=False)

    def heal(self) -> None:
        if self.network:
            self.network.heal()
        else:
            for way in self.proxies:
                way.heal()

    def close(self) -> None:
        """After the beat has ended."""
        for way in self.proxies:
            way.close()
        if self.network:
            self.network.close()
