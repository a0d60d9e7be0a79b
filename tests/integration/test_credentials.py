"""Credentials that change: connections are renewed in time, and it never looks like a crash."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from redis.credentials import CredentialProvider

from habeat.clock import SystemClock
from habeat.config.redis_target import redis_target
from habeat.store import pubsub
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.keys import Keys
from habeat.store.pubsub import RedisWakeChannel
from tests.integration.hostile.world import World
from tests.support.servers.children import until
from tests.support.servers.cluster import Cluster
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app

KEYS = Keys("habeat:renewal")
USERS = "user default off\nuser admin on >admin ~* &* +@all\n" + "".join(
    f"user beat{n} on >secret{n} ~* &* +@all\n" for n in range(5)
)


class Tokens(CredentialProvider):
    """A user for each token, so that the server can tell the connections of one token."""

    def __init__(self) -> None:
        self.at = 0
        self.fails = False
        self.asked_by: set[str] = set()

    def get_credentials(self) -> tuple[str, str]:
        self.asked_by.add(threading.current_thread().name)
        if self.fails:
            raise ValueError("the secret token cannot be read")
        return f"beat{self.at}", f"secret{self.at}"


class Replica:
    """The connections of one replica, and how many subscribers its channel had at any time."""

    def __init__(self, server: Server, tokens: Tokens) -> None:
        self.admin = redis.Redis(
            port=server.port, username="admin", password="admin", decode_responses=True
        )
        target = redis_target(server.url(), {"credential_provider": tokens})
        self.connections = Connections(target)
        self.caller = Caller(self.connections, KEYS)
        self.channel = RedisWakeChannel(self.connections, KEYS, "n1", SystemClock())
        assert self.channel.open()
        self.caller.do(lambda client: client.ping())
        self.subscribers: set[int] = set()
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch)
        self._watching.start()

    def _watch(self) -> None:
        watching = redis.Redis(connection_pool=self.admin.connection_pool)
        while not self._over.is_set():
            self.subscribers.add(watching.pubsub_numsub(KEYS.alive("n1"))[0][1])

    def close(self) -> None:
        self._over.set()
        self._watching.join()
        self.channel.resubscribe()
        self.connections.close()
        self.admin.close()

    def users(self) -> set[str]:
        """Who is logged in, apart from the test."""
        return {each["user"] for each in self.admin.client_list()} - {"admin"}

    def waits_until(self, done: Callable[[], bool]) -> set[str]:
        """Wait on the channel until something is so; what was heard meanwhile."""
        heard: set[str] = set()
        ends_s = time.monotonic() + 20
        while not done():
            assert time.monotonic() < ends_s
            heard |= self.channel.wait(20)
        return heard

    def call(self) -> None:
        """Any call, on the connection for commands."""
        self.caller.do(lambda client: client.ping())


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def replica(
    private_server: Callable[..., Server], tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Replica]:
    monkeypatch.setattr(pubsub, "RENEW_EVERY_MS", 200)
    made = Replica(private_server(aclfile=USERS), tokens)
    yield made
    made.close()


def test_connections_are_renewed_before_the_server_cuts_those_of_the_old_token(
    replica: Replica, tokens: Tokens
) -> None:
    for tokens.at in (1, 2, 3):
        replica.waits_until(lambda: replica.users() <= {f"beat{tokens.at}"})
        replica.call()
        made = replica.connections.made
        replica.admin.execute_command("CLIENT", "KILL", "USER", f"beat{tokens.at - 1}")
        replica.channel.wait(50)
        replica.call()
        assert replica.connections.made == made, "nothing was cut"
    assert replica.users() == {"beat3"}
    assert 0 not in replica.subscribers


def test_what_is_said_while_the_connection_is_replaced_is_heard(
    replica: Replica, tokens: Tokens
) -> None:
    tokens.at = 1
    until(lambda: replica.connections.credentials(SystemClock()) == 1, 5, "the change is noticed")
    replica.admin.publish(KEYS.wake, "changed")
    heard = replica.waits_until(lambda: replica.users() <= {"beat1"})
    assert heard == {"changed"}


def test_the_provider_is_asked_in_a_thread_so_that_it_cannot_hold_up_the_loop(
    replica: Replica, tokens: Tokens
) -> None:
    tokens.asked_by.clear()
    replica.waits_until(lambda: bool(tokens.asked_by))
    assert tokens.asked_by == {"habeat credentials"}


def test_new_connections_use_what_the_thread_was_given(replica: Replica, tokens: Tokens) -> None:
    tokens.asked_by.clear()
    tokens.at = 1
    replica.waits_until(lambda: replica.users() <= {"beat1"})
    replica.call()
    assert tokens.asked_by == {"habeat credentials"}


def test_a_provider_that_fails_costs_nothing_while_the_connections_last(
    replica: Replica, tokens: Tokens
) -> None:
    tokens.fails = True
    replica.waits_until(lambda: "habeat credentials" in tokens.asked_by)
    replica.channel.wait(50)
    replica.call()
    assert replica.users() == {"beat0"}
    with pytest.raises(redis.ConnectionError) as caught:
        replica.connections.short_lived(1.0).ping()
    assert "failed with ValueError" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_new_credentials_that_redis_refuses_leave_the_old_connection_in_place(
    replica: Replica, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.at = 77
    replica.waits_until(lambda: "no pub/sub connection can be opened" in caplog.text)
    replica.channel.wait(500)
    replica.admin.publish(KEYS.wake, "changed")
    assert replica.channel.wait(1_000) == {"changed"}
    assert caplog.text.count("no pub/sub connection can be opened") == 1
    tokens.at = 1
    replica.waits_until(lambda: replica.users() <= {"beat1"})
    assert caplog.text.count("uses the new credentials now") == 1
    assert 0 not in replica.subscribers


@pytest.mark.parametrize("given", [{}, {"credential_provider": None}])
def test_without_a_provider_nothing_is_asked(
    given: dict[str, Any], private_server: Callable[..., Server]
) -> None:
    server = private_server()
    connections = Connections(redis_target(server.url(), given))
    assert connections.credentials(SystemClock()) == 0
    connections.close()


def test_functions_give_user_and_password(private_server: Callable[..., Server]) -> None:
    server, at = private_server(aclfile=USERS), 0
    for options in (
        {"username": lambda: f"beat{at}", "password": lambda: f"secret{at}"},
        {"username": "beat0", "password": lambda: "secret0"},
    ):
        connections = Connections(redis_target(server.url(), options))
        assert connections.client().acl_whoami() in ("beat0", b"beat0")
        connections.close()


@pytest.mark.parametrize("answer", ["secret", None, (), ("a", "b", "c"), 5])
def test_an_answer_that_is_no_credentials_is_an_error_of_the_connection(
    answer: Any, private_server: Callable[..., Server]
) -> None:
    tokens = Tokens()
    tokens.get_credentials = lambda: answer  # type: ignore[method-assign]
    connections = Connections(redis_target(private_server().url(), {"credential_provider": tokens}))
    with pytest.raises(redis.ConnectionError, match="credential provider is wrong"):
        connections.client().ping()
    connections.close()


def test_a_leader_goes_on_through_changes_of_credentials(
    private_server: Callable[..., Server], tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubsub, "RENEW_EVERY_MS", 200)
    server = private_server(aclfile=USERS.replace("default off", "default on nopass ~* &* +@all"))
    world = World(server, app=make_app(habeat_redis_options={"credential_provider": tokens}))
    try:
        begins_ms, led = world.slots()[-1], world.client.status().leader_changes
        for tokens.at in (1, 2, 3):
            world.turn_until(lambda: logged_in(world.admin) == {f"beat{tokens.at}"})
            world.admin.execute_command("CLIENT", "KILL", "USER", f"beat{tokens.at - 1}")
            world.fires(3)
        world.misses_none_since(begins_ms)
        assert world.client.status().leader_changes == led
        assert world.errors.lines == []
    finally:
        world.close()


def logged_in(admin: Any) -> set[str]:
    """The users of habeat's own connections, without those of clients."""
    names = [(each["user"], each["name"]) for each in admin.client_list()]
    return {user for user, name in names if name == "habeat"}


class AnyPassword(Tokens):
    """For servers whose default user takes any password."""

    def get_credentials(self) -> tuple[str, str]:
        super().get_credentials()
        return "default", f"secret{self.at}"


def test_connections_to_a_cluster_are_renewed_too(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubsub, "RENEW_EVERY_MS", 200)
    tokens, clock = AnyPassword(), SystemClock()
    connections = Connections(
        redis_target(cluster.url, {"cluster": True, "credential_provider": tokens})
    )
    caller, channel = Caller(connections, KEYS), RedisWakeChannel(connections, KEYS, "n1", clock)
    try:
        assert channel.open()
        caller.do(lambda client: client.set(KEYS.meta, "x"))
        made, tokens.at = connections.made, 1
        until(lambda: connections.credentials(clock) == 1, 5, "the change is noticed")
        channel.wait(20)
        assert connections.made == made + 1, "the pub/sub connection was replaced"
        caller.do(lambda client: client.get(KEYS.meta))
        assert connections.made > made + 1, "the connection for commands was replaced"
        owner = cluster.owner(KEYS.alive("n1"))
        assert owner.admin.pubsub_numsub(KEYS.alive("n1"))[0][1] == 1
    finally:
        channel.resubscribe()
        connections.close()
