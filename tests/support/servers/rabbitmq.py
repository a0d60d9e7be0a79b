"""A RabbitMQ of our own, beside any other on the machine: its own node name, ports, folders,
Erlang cookie and epmd. No systemd, no root needed, and the distribution's wrapper, which changes
the user, is bypassed: the scripts under its lib folder are run directly.

`ALLOW_INPUT` makes the start script `exec` the Erlang machine instead of staying in front of
it, so that the pid we know is the broker's: it can be stopped, frozen and killed, and it dies
with the test process. So does epmd, because it is ours and in the foreground.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.servers.children import end, free_port, spawn, until
from tests.support.servers.needs import need

_HOST = "127.0.0.1"
_SCRIPTS = Path("/usr/lib/rabbitmq/bin")
_VHOSTS_AT_ONCE = 24
_COOKIE = "HABEATTESTS"
#: For rabbitmqctl. Several schedulers spin while they wait for each other: beside busy processes,
#: a call then takes twenty seconds in place of two.
_ONE_SCHEDULER = "+S 1:1 +SDcpu 1:1 +SDio 1 +sbwt none +sbwtdcpu none +sbwtdio none"


@dataclass
class RabbitMQNode:
    """A running broker, perhaps started by another process: tests may use it, but not stop it.

    The user is `guest`; `url` is that of the default virtual host.
    """

    port: int
    folder: Path
    _environment: dict[str, str] = field(repr=False)
    _vhosts: list[str] = field(default_factory=list, init=False, repr=False)
    _numbers: itertools.count[int] = field(
        default_factory=lambda: itertools.count(1), init=False, repr=False
    )

    @property
    def host(self) -> str:
        return _HOST

    @property
    def url(self) -> str:
        return self.vhost_url("/")

    def vhost_url(self, vhost: str) -> str:
        return f"amqp://guest:guest@{_HOST}:{self.port}/{'/' if vhost == '/' else vhost}"

    def fresh_vhost(self) -> str:
        """The URL of a new, empty virtual host.

        They are made many at a time: rabbitmqctl takes longer to start than to make them all.
        """
        if not self._vhosts:
            numbers = (next(self._numbers) for _ in range(_VHOSTS_AT_ONCE))
            names = [f"p{os.getpid()}-{number}" for number in numbers]
            self.evaluate(" ".join(_MAKE_VHOST.replace("NAME", name) for name in names) + " ok.")
            self._vhosts.extend(names)
        return self.vhost_url(self._vhosts.pop(0))

    def close_connections(self, url: str) -> None:
        """Make the broker close all connections to the virtual host of `url`."""
        self.evaluate(_CLOSE_CONNECTIONS.replace("NAME", url.rpartition("/")[2]))

    def evaluate(self, erlang: str, timeout_s: float = 90) -> str:
        """Run Erlang in the broker and return what it says (the text ends with a full stop)."""
        done = subprocess.run(
            [_SCRIPTS / "rabbitmqctl", "-q", "eval", erlang],
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl failed: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def as_text(self) -> str:
        """For `node_of_text` in another process."""
        return json.dumps([self.port, str(self.folder), self._environment])


@dataclass
class RabbitMQ(RabbitMQNode):
    """A broker that this process started, and may stop, freeze and kill."""

    _broker: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    _epmd: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int:
        assert self._broker is not None, "the broker was never started"
        return self._broker.pid

    @property
    def alive(self) -> bool:
        return self._broker is not None and self._broker.poll() is None

    def log(self) -> str:
        path = self.folder / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, timeout_s: float = 60) -> None:
        """Start on the same port and data; returns when it accepts connections."""
        assert not self.alive, "the broker runs already"
        self._start_epmd()
        broker = self._broker = spawn(
            [_SCRIPTS / "rabbitmq-server", "-noinput"],
            log=self.folder / "console",
            env=self._environment,
            cwd=self.folder,
        )
        until(
            lambda: broker.poll() is not None or self._answers(),
            timeout_s,
            lambda: f"RabbitMQ answers; it said:\n{self.log()}",
            every_s=0.1,
        )
        if broker.poll() is not None:
            raise RuntimeError(f"RabbitMQ ended at start; it said:\n{self.log()}")

    def _start_epmd(self) -> None:
        if self._epmd is None or self._epmd.poll() is not None:
            port = self._environment["ERL_EPMD_PORT"]
            self._epmd = spawn(
                ["epmd", "-port", port, "-address", _HOST],
                log=self.folder / "epmd",
                env=self._environment,
            )
            until(lambda: _accepts(int(port)), 10, "epmd listens")

    def _answers(self) -> bool:
        """It speaks AMQP: a wrong header is answered with the right one."""
        try:
            with socket.create_connection((_HOST, self.port), timeout=1) as probe:
                probe.sendall(b"AMQP\x00\x00\x00\x00")
                return probe.recv(4) == b"AMQP"
        except OSError:
            return False

    def stop(self) -> None:
        """SIGTERM, and wait for the end; durable queues and persistent messages stay."""
        if self._broker is not None:
            end(self._broker, signal.SIGTERM, timeout_s=30)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self._broker is not None:
            end(self._broker, signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def dispose(self) -> None:
        """End it for good and delete its folder."""
        self.kill()
        if self._epmd is not None:
            end(self._epmd)
        shutil.rmtree(self.folder, ignore_errors=True)


_MAKE_VHOST = (
    'rabbit_vhost:add(<<"NAME">>, <<"tests">>), '
    "rabbit_auth_backend_internal:set_permissions("
    '<<"guest">>, <<"NAME">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>),'
)

_CLOSE_CONNECTIONS = """
lists:foreach(
    fun(Pid) ->
        case catch rabbit_networking:connection_info(Pid, [vhost]) of
            [{vhost, <<"NAME">>}] -> catch rabbit_networking:close_connection(Pid, "test");
            _ -> ok
        end
    end,
    rabbit_networking:connections()).
"""


def node_of_text(text: str) -> RabbitMQNode:
    """The broker of another process, which wrote the text with `as_text`."""
    port, folder, environment = json.loads(text)
    return RabbitMQNode(port, Path(folder), environment)


def start_rabbitmq() -> RabbitMQ:
    """Start one (about 3 s); the caller ends it with `dispose()`."""
    present = (_SCRIPTS / "rabbitmq-server").exists() and shutil.which("epmd") is not None
    need("RabbitMQ", present, "apt-get install rabbitmq-server")
    folder = Path(tempfile.mkdtemp(prefix="hb-rabbit-"))
    port = free_port()
    node = f"habeat{port}@localhost"
    broker = RabbitMQ(port, folder, _environment(folder, port, node))
    try:
        broker.start()
    except BaseException:
        broker.dispose()
        raise
    return broker


def _environment(folder: Path, port: int, node: str) -> dict[str, str]:
    cookie = folder / ".erlang.cookie"
    cookie.write_text(_COOKIE)
    cookie.chmod(0o400)
    (folder / "plugins").write_text("[].\n")
    (folder / "rabbitmq.conf").write_text("log.console = true\nlog.file = false\n")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_"))}
    return kept | {
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(free_port()),
        "ERL_EPMD_ADDRESS": _HOST,
        "RABBITMQ_ALLOW_INPUT": "1",
        "RABBITMQ_NODENAME": node,
        "RABBITMQ_NODE_IP_ADDRESS": _HOST,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(port + 10_000),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "no-such-file"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_CTL_ERL_ARGS": _ONE_SCHEDULER,
        "LANG": "C.UTF-8",
    }


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((_HOST, port)) == 0
