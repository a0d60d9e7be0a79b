"""A network namespace for one process, and ways to lose its packets silently. Needs root.

The namespace is that of a holder process and has no name; when the holder and its guests have
ended, the kernel takes the namespace and the pair of interfaces with it. So nothing is left
behind even by a test process that is killed.

One pair of interfaces leads out. The outer end has an address for each service, and cutting off
from a service means: tell the namespace a hardware address for it that nobody has. Packets
leave and are dropped by the other end; no socket hears of it (half-open), until `heal()`.

    loses_requests   what the process sends to one address vanishes (and with it its ACKs)
    loses_replies    what is sent to the process vanishes, from all addresses
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.servers.children import end, spawn, until
from tests.support.servers.needs import need

_NOBODY = "02:00:00:00:00:99"
_INNER = "eth0"
_numbers = itertools.count()


def can_have_networks() -> bool:
    """Whether namespaces can be made here: Linux, root, the tools, and a kernel that lets us."""
    tools = ("ip", "nsenter", "unshare")
    if not hasattr(os, "geteuid") or os.geteuid() or not all(map(shutil.which, tools)):
        return False
    tried = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    return tried.returncode == 0


@dataclass
class Network:
    """One namespace. `outside[i]` is the i-th address of the machine, as seen from inside."""

    folder: Path
    services: int = 2
    name: str = field(init=False)
    outside: list[str] = field(init=False)
    inside: str = field(init=False)

    def __post_init__(self) -> None:
        need("network namespaces", can_have_networks(), "run as root, with iproute2")
        self.name = f"hb{os.getpid()}x{next(_numbers)}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._holder = spawn(["unshare", "-n", "sleep", "infinity"], log=self.folder / "holder")
        until(self._is_apart, 10, "the namespace is there")
        subnet = f"10.{random.randint(200, 250)}.{random.randint(0, 255)}"
        self.outside = [f"{subnet}.{2 + index}" for index in range(self.services)]
        self.inside = f"{subnet}.1"
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _is_apart(self) -> bool:
        try:
            theirs = os.readlink(f"/proc/{self._holder.pid}/ns/net")
        except OSError:
            return False
        return theirs != os.readlink("/proc/self/ns/net")

    def _connect(self) -> None:
        peer = ("peer", "name", _INNER, "netns", str(self._holder.pid))
        _ip("link", "add", self.name, "type", "veth", *peer)
        for address in self.outside:
            _ip("addr", "add", f"{address}/24", "dev", self.name)
        _ip("link", "set", self.name, "up")
        self._ip_inside("link", "set", "lo", "up")
        self._ip_inside("addr", "add", f"{self.inside}/24", "dev", _INNER)
        self._ip_inside("link", "set", _INNER, "up")

    def command(self, words: Sequence[str]) -> list[str]:
        """What to run so that `words` run inside; the process id stays that of the command."""
        return ["nsenter", "-t", str(self._holder.pid), "-n", "--", *words]

    def loses_requests(self, service: int) -> None:
        self._ip_inside("neigh", "replace", self.outside[service], *_TO_NOBODY, "dev", _INNER)

    def loses_replies(self) -> None:
        _ip("neigh", "replace", self.inside, *_TO_NOBODY, "dev", self.name)

    def heal(self) -> None:
        for address in self.outside:
            self._ip_inside("neigh", "del", address, "dev", _INNER, check=False)
        _ip("neigh", "del", self.inside, "dev", self.name, check=False)

    def close(self) -> None:
        """End it; the processes inside must have been ended before."""
        end(self._holder)
        _ip("link", "del", self.name, check=False)

    def _ip_inside(self, *words: str, check: bool = True) -> None:
        _run(self.command(["ip", *words]), check)


_TO_NOBODY = ("lladdr", _NOBODY, "nud", "permanent")


def _ip(*words: str, check: bool = True) -> None:
    _run(["ip", *words], check)


def _run(command: Sequence[str], check: bool) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
