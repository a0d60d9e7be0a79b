"""The beats' ways to Redis: proxies in a process of their own, controlled line by line.

In the test's own process, they would wait for the interpreter, and that wait would be measured as
lateness of the beats.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from tests import ROOT
from tests.support.servers.proxy import Proxy


@dataclass
class Ways:
    """Several proxies in front of one server; they end with this process."""

    child: subprocess.Popen[str]
    ports: list[int]

    @classmethod
    def open(cls, host: str, port: int, count: int) -> Ways:
        words = [sys.executable, "-m", "tests.system.soak.ways", host, str(port), str(count)]
        child = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip
        assert child.stdout is not None
        return cls(child, [int(word) for word in child.stdout.readline().split()])

    def url(self, place: int, db: int = 0) -> str:
        return f"redis://127.0.0.1:{self.ports[place]}/{db}"

    def cut(self, place: int) -> None:
        """Reset its connections, and refuse new ones."""
        self._tell("cut", place)

    def stall(self, place: int) -> None:
        """Nothing passes any more; its connections stay open."""
        self._tell("stall", place)

    def heal(self, place: int) -> None:
        self._tell("heal", place)

    def close(self) -> None:
        """The child sees the end of its orders, and ends."""
        assert self.child.stdin is not None
        self.child.stdin.close()
        self.child.wait(10)

    def _tell(self, what: str, place: int) -> None:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        print(what, place, file=self.child.stdin, flush=True)
        assert self.child.stdout.readline().strip() == "done"


def main() -> None:
    """The child: the ports in one line, then an answer to each order, until there are no more."""
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    proxies = [Proxy(host, port) for _ in range(count)]
    print(*(proxy.port for proxy in proxies), flush=True)
    for line in sys.stdin:
        what, place = line.split()
        getattr(proxies[int(place)], what)()
        print("done", flush=True)


if __name__ == "__main__":
    main()
