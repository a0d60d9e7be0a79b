"""A Redis, two Redis replicas of it, and three Sentinels that watch them."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.support.servers.children import free_port, until
from tests.support.servers.redis_server import HOST, Server, start_server

MASTER_NAME = "mymaster"


@dataclass
class Sentinels:
    """`url` is the form that kombu takes; `redises` are the three data servers."""

    master_name: str
    redises: list[Server]
    watchers: list[Server]
    folder: Path
    _names: dict[int, Server] = field(default_factory=dict, repr=False)

    @property
    def urls(self) -> list[str]:
        return [f"sentinel://{HOST}:{watcher.port}" for watcher in self.watchers]

    @property
    def url(self) -> str:
        return ";".join(f"{url}/0" for url in self.urls)

    @property
    def master(self) -> Server:
        """The data server that the first Sentinel alive names now."""
        watcher = next(each for each in self.watchers if each.alive)
        address: Any = watcher.admin.sentinel_get_master_addr_by_name(self.master_name)
        port = int(address[1])
        return next(server for server in self.redises if server.port == port)

    def failover(self, *, kill: bool = True, timeout_s: float = 20) -> Server:
        """Make a Redis replica the master and return it.

        With `kill` the old master is killed, as in a crash; without, Sentinel is asked for a
        failover, and the old master lives on: for about a second it still takes writes, which
        are lost, before Sentinel makes it a read-only Redis replica.
        """
        before = self.master
        if kill:
            before.kill()
        else:
            # A first refusal (INPROG, NOGOODSLAVE) passes.
            until(lambda: self._ask_failover(), timeout_s, "Sentinel accepts the failover")
        after: Server = until(
            lambda: self._changed_from(before), timeout_s, "a replica became master"
        )
        return after

    def _ask_failover(self) -> bool:
        try:
            self.watchers[0].admin.execute_command("SENTINEL", "FAILOVER", self.master_name)
        except redis.ResponseError:
            return False
        return True

    def _changed_from(self, before: Server) -> Server | None:
        now = self.master
        if now is before or now.admin.role()[0] != b"master":
            return None
        return now

    def dispose(self) -> None:
        for server in [*self.watchers, *self.redises]:
            server.dispose()
        shutil.rmtree(self.folder, ignore_errors=True)


def start_sentinels(binary: Path) -> Sentinels:
    """Start all six; a master is down for a Sentinel after 0.5 s of silence."""
    folder = Path(tempfile.mkdtemp(prefix="hb-sentinels-"))
    trio = Sentinels(MASTER_NAME, [], [], folder)
    try:
        trio.redises.append(start_server(binary, extra_args=_REPLICATION))
        master = trio.redises[0]
        for _ in range(2):
            follow = ("--replicaof", HOST, str(master.port))
            trio.redises.append(start_server(binary, extra_args=(*_REPLICATION, *follow)))
        for _ in range(3):
            trio.watchers.append(_start_watcher(binary, master, folder))
        until(lambda: _all_see_each_other(trio), 60, "the Sentinels see all servers")
    except BaseException:
        trio.dispose()
        raise
    return trio


_QUICK = ("PUBLISH-PERIOD", 200, "INFO-PERIOD", 500)
_REPLICATION = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")


def _start_watcher(binary: Path, master: Server, folder: Path) -> Server:
    port = free_port()
    config = folder / f"{port}.conf"
    config.write_text(
        f"port {port}\nbind {HOST}\ndir {folder}\n"
        f"sentinel monitor {MASTER_NAME} {HOST} {master.port} 2\n"
        f"sentinel down-after-milliseconds {MASTER_NAME} 500\n"
        f"sentinel failover-timeout {MASTER_NAME} 3000\n"
    )
    home = folder / str(port)
    home.mkdir()
    watcher = Server(binary, HOST, port, home, [str(config), "--sentinel"])
    watcher.start()
    # Else Sentinel leaves a master that it has deposed, but that lives, 8 s and more in peace.
    with contextlib.suppress(redis.ResponseError):  # Redis 6.2 has no such command, and waits
        watcher.admin.execute_command("SENTINEL", "DEBUG", *_QUICK)
    return watcher


def _all_see_each_other(trio: Sentinels) -> bool:
    return all(_sees_all(watcher) for watcher in trio.watchers) and all(
        server.admin.info("replication").get("master_link_status") == "up"
        for server in trio.redises[1:]
    )


def _sees_all(watcher: Server) -> bool:
    state: Any = watcher.admin.sentinel_masters()[MASTER_NAME]
    return bool(
        state["num-slaves"] == 2
        and state["num-other-sentinels"] == 2
        and not state["is_sdown"]
        and not state["is_odown"]
    )
