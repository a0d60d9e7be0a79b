"""Every way to reach a Redis, against real ones; and that nothing hangs or is sent twice."""

from __future__ import annotations

import contextlib
import os
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError
from redis.cluster import RedisCluster
from redis.credentials import UsernamePasswordCredentialProvider

from habeat.config import Settings
from habeat.config.redis_target import redis_target
from habeat.ports import StoreUnavailable
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.faults import Fault, classify
from habeat.store.keys import Keys
from habeat.store.redis_clients import KEEPALIVE
from tests.support.servers.children import until
from tests.support.servers.cluster import Cluster
from tests.support.servers.proxy import Proxy
from tests.support.servers.redis_server import Server, redis62_binary, redis70_binary, valkey_binary
from tests.support.servers.sentinel import Sentinels

BINARIES = {"valkey": valkey_binary, "redis70": redis70_binary, "redis62": redis62_binary}
CHANNEL = "{habeat:proj}:alive:nonce"


@pytest.fixture
def connect() -> Iterator[Callable[..., Connections]]:
    """Connections of a test, closed at its end."""
    made: list[Connections] = []

    def to(url: str, options: dict[str, Any] | None = None, **limits: Any) -> Connections:
        made.append(Connections(redis_target(url, options), **limits))
        return made[-1]

    yield to
    for connections in made:
        connections.close()


def subscribe(connections: Connections, channel: str = CHANNEL) -> redis.client.PubSub:
    pubsub = connections.pubsub(channel)
    pubsub.subscribe(channel)
    until(lambda: pubsub.get_message(timeout=0.1), 5, "the subscription is confirmed")
    return pubsub


def listeners(server: Server, channel: str = CHANNEL) -> int:
    return int(server.admin.pubsub_numsub(channel)[0][1])


def answers(connections: Connections, call: Callable[[Any], Any]) -> bool:
    """Try once, as the loop of a beat does: a fault that may pass is answered with a reset."""
    try:
        return bool(call(connections.client()))
    except redis.RedisError as error:
        if classify(error) not in (Fault.UNREACHABLE, Fault.READ_ONLY, Fault.BUSY):
            raise
        connections.reset()
        return False


def names(server: Server) -> list[str]:
    return [str(each["name"]) for each in server.admin.client_list()]


@pytest.mark.parametrize("kind", BINARIES)
def test_plain(
    kind: str, request: pytest.FixtureRequest, connect: Callable[..., Connections]
) -> None:
    server: Server = request.getfixturevalue(kind)
    connections = connect(server.url(3))
    assert connections.client().set("a", "1")
    assert connections.client().get("a") == b"1"
    assert server.client(3).get("a") == b"1"
    assert connections.client() is connections.client()
    assert "habeat" in names(server)


def test_a_unix_socket(valkey: Server, connect: Callable[..., Connections]) -> None:
    for url in (
        f"unix://{valkey.socket_path}?db=3",
        f"redis+socket://{valkey.socket_path}?virtual_host=3",
    ):
        connections = connect(url, {"socket_keepalive": True})
        connections.client().incr("n")
        pubsub = subscribe(connections)
        assert listeners(valkey) == 1
        pubsub.close()
        assert connections.short_lived(1.0).get("n") is not None
    assert valkey.client(3).get("n") == b"2"


@pytest.mark.parametrize("kind", ["tcp", "unix", "sentinel", "cluster"])
def test_a_server_that_hangs_costs_the_limit_and_no_more(
    kind: str,
    private_server: Callable[..., Server],
    request: pytest.FixtureRequest,
    connect: Callable[..., Connections],
) -> None:
    options: dict[str, Any] = {}
    if kind == "sentinel":
        trio: Sentinels = request.getfixturevalue("sentinels")
        frozen, url, options = [trio.master], trio.url, {"master_name": trio.master_name}
    elif kind == "cluster":
        nodes: Cluster = request.getfixturevalue("cluster")
        frozen, url, options = [nodes.owner("a")], nodes.url, {"cluster": True}
    else:
        server = private_server()
        frozen, url = [server], server.url() if kind == "tcp" else server.unix_url
    limits = {"socket_timeout_s": 0.3, "connect_timeout_s": 0.3}
    connections = connect(url, options, **limits)
    connections.client().get("a")
    short = connections.short_lived(0.5, "a")
    for each in frozen:
        each.pause()
    try:
        for client in (connections.client(), connections.client(), short):
            started_s = time.monotonic()
            with pytest.raises(redis.RedisError) as caught:
                client.get("a")
            # The default would be 5 s and more, ten times over.
            assert time.monotonic() - started_s < 4
            assert classify(caught.value) is Fault.UNREACHABLE
    finally:
        for each in frozen:
            each.resume()


@pytest.mark.parametrize("kind", ["tcp", "cluster"])
def test_a_command_whose_reply_is_lost_is_not_sent_again(
    kind: str,
    valkey: Server,
    cluster: Cluster,
    proxy: Callable[[Server], Proxy],
    connect: Callable[..., Connections],
) -> None:
    server = valkey if kind == "tcp" else cluster.owner("n")
    between = proxy(server)
    connections = connect(
        between.url(), {"cluster": True} if kind == "cluster" else {}, socket_timeout_s=0.3
    )
    client = connections.client()
    if isinstance(client, RedisCluster):
        # A Cluster tells its clients the addresses of its nodes: the way there is bent here.
        manager = client.nodes_manager
        manager.remap_host_port = lambda host, port: (  # type: ignore[method-assign]
            (host, between.port) if port == server.port else (host, port)
        )
        manager.initialize()
    client.incr("n")
    between.lose_next_reply()
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    assert client.get("n") == b"2"
    between.stall(requests=False)
    with pytest.raises(redis.TimeoutError):
        client.incr("n")
    between.heal()
    until(lambda: server.admin.get("n") != b"2", 2, "the third call arrived")
    assert client.get("n") == b"3"


def test_tls_with_an_acl_user(
    private_server: Callable[..., Server], connect: Callable[..., Connections]
) -> None:
    users = "user default off\nuser m@e on >s/ec ~* &* +@all\n"
    server = private_server(redis70_binary(), tls=True, aclfile=users)
    assert server.certificates is not None
    ca = server.certificates.ca
    at = f"m%40e:s%2Fec@localhost:{server.port}"
    connections = connect(f"rediss://{at}/3?ssl_ca_certs={ca}")
    assert connections.client().set("a", 1)
    assert connections.client().client_info()["user"] == "m@e"
    assert connections.short_lived(1.0).get("a") == b"1"
    subscribe(connections)
    for options in (
        {"ssl": {"ssl_cert_reqs": "CERT_REQUIRED", "ssl_ca_certs": str(ca)}},
        {"ssl": True, "ssl_cert_reqs": "none"},
    ):
        assert connect(f"redis://{at}/3", options).client().get("a") == b"1"
    with pytest.raises(redis.ConnectionError, match=r"(?i)certificate"):
        connect(f"rediss://{at}/3").client().ping()
    with pytest.raises(redis.AuthenticationError) as caught:
        connect(f"valkeys://m%40e:no@localhost:{server.port}?ssl_ca_certs={ca}").client().ping()
    assert classify(caught.value) is Fault.DENIED


def test_the_name_in_the_certificate_counts(
    private_server: Callable[..., Server], connect: Callable[..., Connections]
) -> None:
    server = private_server(redis70_binary(), tls=True)  # for localhost and 127.0.0.1 only
    assert server.certificates is not None
    # On Linux all of 127/8 is this machine.
    with Proxy(server.host, server.port, listen="127.0.0.2") as between:
        url, ca = between.url(scheme="rediss"), str(server.certificates.ca)
        with pytest.raises(redis.ConnectionError, match=r"(?i)certificate"):
            connect(url, {"ssl_ca_certs": ca}).client().ping()
        unnamed = {"ssl_ca_certs": ca, "ssl_check_hostname": False}
        assert connect(url, unnamed).client().ping()


@pytest.mark.parametrize(
    ("scheme", "query", "use_ssl"),
    [
        ("rediss", "", None),
        ("rediss", "", {"ssl_cert_reqs": None}),
        ("rediss", "", {"ssl_cert_reqs": ssl.CERT_NONE}),
        ("rediss", "", {"ssl_cert_reqs": "none"}),
        ("rediss", "", {"ssl_cert_reqs": "required"}),
        ("rediss", "?ssl_cert_reqs=none", None),
        ("rediss", "?ssl_cert_reqs=CERT_NONE", {"ssl_cert_reqs": "required"}),
        ("rediss", "?ssl_cert_reqs=required", {"ssl_cert_reqs": None}),
        ("redis", "", {"ssl_cert_reqs": None}),
        ("redis", "?ssl_cert_reqs=none", None),
    ],
)
def test_habeat_reaches_the_redis_with_tls_that_celery_reaches(
    scheme: str,
    query: str,
    use_ssl: dict[str, Any] | None,
    unnamed_tls_server: tuple[Proxy, Path],
) -> None:
    between, _ = unnamed_tls_server
    app = Celery("proj", broker=f"{between.url(scheme=scheme)}{query}", set_as_current=False)
    app.conf.broker_use_ssl = use_ssl
    assert reached_by_habeat(app) == reached_by_celery(app)


def test_a_spelling_that_only_urls_have_for_celery_is_taken_in_the_options_too(
    unnamed_tls_server: tuple[Proxy, Path],
) -> None:
    between, _ = unnamed_tls_server
    app = Celery("proj", broker=between.url(scheme="rediss"), set_as_current=False)
    app.conf.broker_use_ssl = {"ssl_cert_reqs": "CERT_NONE"}
    assert reached_by_habeat(app)


def test_and_with_the_name_in_the_certificate_checked_as_redis_py_does(
    unnamed_tls_server: tuple[Proxy, Path],
) -> None:
    between, ca = unnamed_tls_server
    app = Celery("proj", broker=between.url(scheme="rediss"), set_as_current=False)
    app.conf.broker_use_ssl = {"ssl_ca_certs": str(ca)}
    assert reached_by_habeat(app) == reached_by_celery(app)


@pytest.fixture
def unnamed_tls_server(private_server: Callable[..., Server]) -> Iterator[tuple[Proxy, Path]]:
    """A server with TLS whose certificate is not for this address; and the authority's file."""
    server = private_server(redis70_binary(), tls=True)
    assert server.certificates is not None
    with Proxy(server.host, server.port, listen="127.0.0.2") as between:
        yield between, server.certificates.ca


def reached_by_celery(app: Celery) -> bool:
    app.conf.broker_transport_options = {"max_retries": 1, "interval_start": 0}
    with app.connection_for_write() as connection:
        try:
            connection.default_channel.client.ping()
            return True
        except OperationalError as error:
            return refuses_the_certificate(error)


def refuses_the_certificate(error: Exception) -> bool:
    """Always False, for "not reached"; any other reason is an error of the test."""
    if "certificate" not in str(error).lower():
        raise error
    return False


def reached_by_habeat(app: Celery) -> bool:
    settings = Settings.from_conf(app.conf, app_main="proj")
    connections = Connections(settings.redis)
    try:
        connections.client().ping()
        return True
    except redis.ConnectionError as error:
        return refuses_the_certificate(error)
    finally:
        connections.close()


class Provider(UsernamePasswordCredentialProvider):
    def __init__(self) -> None:
        super().__init__("me", "secret")


@pytest.mark.parametrize("given", [Provider(), f"{__name__}.Provider"], ids=["object", "path"])
def test_a_credential_provider(
    given: Any, private_server: Callable[..., Server], connect: Callable[..., Connections]
) -> None:
    server = private_server(aclfile="user me on >secret ~* &* +@all\n")
    connections = connect(server.url(), {"credential_provider": given})
    assert connections.client().client_info()["user"] == "me"
    subscribe(connections)
    assert connections.short_lived(1.0).acl_whoami() in ("me", b"me")


def test_a_user_who_may_not_set_a_name_is_served_all_the_same(
    private_server: Callable[..., Server], connect: Callable[..., Connections]
) -> None:
    users = "user me on >secret ~* &* -@all +get +ping\n"
    server = private_server(redis70_binary(), aclfile=users)
    connections = connect(f"redis://me:secret@{server.host}:{server.port}")
    assert connections.client().get("a") is None
    with pytest.raises(redis.ResponseError) as caught:
        connections.client().set("a", 1)
    assert classify(caught.value) is Fault.DENIED


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "demoted"])
def test_sentinel_leads_to_the_new_master(
    kill: bool, sentinels: Sentinels, connect: Callable[..., Connections]
) -> None:
    connections = connect(sentinels.url, {"master_name": sentinels.master_name})
    before = sentinels.master
    connections.client().set("a", 1)
    assert before.admin.get("a") == b"1"
    before.admin.wait(2, 5000)
    pubsub = subscribe(connections)
    assert listeners(before) == 1
    after = sentinels.failover(kill=kill)

    def answered() -> bool:
        answers(connections, lambda client: client.set("a", 2))
        return after.admin.get("a") == b"2"  # the old master may have taken a last write

    until(answered, 30, "the client finds the new master")
    assert connections.short_lived(1.0).get("a") == b"2"

    def listens() -> bool:
        try:
            pubsub.get_message(timeout=0.1)
        except redis.ConnectionError:
            return False
        return listeners(after) == 1

    until(listens, 30, "the subscriber has followed")


def test_a_sentinel_that_is_down_is_passed_by(
    sentinels: Sentinels, connect: Callable[..., Connections]
) -> None:
    sentinels.watchers[0].pause()
    connections = connect(sentinels.url, {"master_name": "mymaster"}, connect_timeout_s=0.3)
    started_s = time.monotonic()
    assert connections.client().ping()
    assert time.monotonic() - started_s < 4
    with pytest.raises(redis.ConnectionError, match="No master found") as caught:
        connect(sentinels.url, {"master_name": "another"}, connect_timeout_s=0.3).client().ping()
    assert classify(caught.value) is Fault.UNREACHABLE


def test_a_subscriber_in_a_cluster_sits_on_the_owner_of_the_hash_slot(
    cluster: Cluster, connect: Callable[..., Connections]
) -> None:
    connections = connect(cluster.url, {"cluster": True})
    for app in ("a", "b", "c", "d", "e"):
        channel = f"{{habeat:{app}}}:alive:nonce"
        pubsub = subscribe(connections, channel)
        owner = cluster.owner(channel)
        assert [listeners(node, channel) for node in cluster.nodes] == [
            int(node is owner) for node in cluster.nodes
        ]
        # What a script sees that runs on the owner, as ours do.
        seen = connections.client().eval(
            "return redis.call('PUBSUB', 'NUMSUB', ARGV[1])[2]", 1, channel, channel
        )
        assert seen == 1
        short = connections.short_lived(1.0, channel)
        assert isinstance(short, redis.Redis)
        assert short.set(channel, "here")
        assert owner.admin.get(channel) == b"here"
        short.close()
        pubsub.close()
        until(lambda at=owner, to=channel: listeners(at, to) == 0, 5, "it has gone")


def test_a_cluster_that_is_away_is_unreachable_and_comes_back(
    cluster: Cluster, connect: Callable[..., Connections]
) -> None:
    connections = connect(cluster.url, {"cluster": True}, socket_timeout_s=0.3)
    for node in cluster.nodes:
        node.kill()
    with pytest.raises(redis.ConnectionError) as caught:
        connections.client()
    assert classify(caught.value) is Fault.UNREACHABLE
    for node in cluster.nodes:
        node.start()

    until(lambda: answers(connections, lambda client: client.set("a", 1)), 20, "the Cluster serves")


@pytest.mark.parametrize("kind", ["tcp", "tls", "sentinel", "cluster"])
def test_a_fork_takes_no_part_in_the_parents_connections(
    kind: str,
    request: pytest.FixtureRequest,
    connect: Callable[..., Connections],
) -> None:
    """A child that held the socket would keep its dead parent alive in NUMSUB."""
    server, connections = _connected(kind, request, connect)
    connections.client().set(CHANNEL, "parent")
    pubsub = subscribe(connections)
    ours = _sockets_of(connections)
    assert ours
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # no assertions here: what the child finds it writes into the pipe
        try:
            held = len(ours & _open_sockets())
            answer = connections.client().get(CHANNEL)
            own = connections.client().client_id()
            os.write(write_end, f"{held} {answer!r} {own}".encode())
            os.read(0, 0)
            pubsub.close()
            connections.close()
        except BaseException as error:
            os.write(write_end, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    said = os.read(read_end, 1000).decode()
    os.waitpid(child, 0)
    os.close(read_end)
    mine = connections.client().client_id()
    assert said.startswith("0 b'parent' "), said
    assert said.split()[-1] != str(mine)
    # The child is gone with all it had closed, and the parent's sockets work as before.
    assert listeners(server) == 1
    server.admin.publish(CHANNEL, "still here")
    message = until(lambda: pubsub.get_message(timeout=0.1), 5, "the subscriber hears")
    assert message["data"] == b"still here"
    assert connections.client().client_id() == mine
    assert connections.client().get(CHANNEL) == b"parent"


def test_a_dead_parent_is_seen_at_once_though_its_child_lives_on(
    valkey: Server, connect: Callable[..., Connections]
) -> None:
    read_end, write_end = os.pipe()
    parent = os.fork()
    if parent == 0:
        connections = Connections(redis_target(valkey.url()))
        kept = subscribe(connections)  # it unsubscribes when it is collected
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        os.write(write_end, str(child).encode())
        time.sleep(60)
        kept.close()
        os._exit(0)
    child = int(os.read(read_end, 100))
    try:
        assert listeners(valkey) == 1
        os.kill(parent, 9)
        os.waitpid(parent, 0)
        os.kill(child, 0)  # it lives
        until(lambda: listeners(valkey) == 0, 5, "the parent's subscription is gone")
    finally:
        os.kill(child, 9)
        os.close(read_end)
        os.close(write_end)


def _connected(
    kind: str, request: pytest.FixtureRequest, connect: Callable[..., Connections]
) -> tuple[Server, Connections]:
    if kind == "cluster":
        nodes: Cluster = request.getfixturevalue("cluster")
        return nodes.owner(CHANNEL), connect(nodes.url, {"cluster": True})
    if kind == "sentinel":
        trio: Sentinels = request.getfixturevalue("sentinels")
        return trio.master, connect(trio.url, {"master_name": trio.master_name})
    if kind == "tls":
        server = request.getfixturevalue("private_server")(redis70_binary(), tls=True)
        return server, connect(server.url(), {"ssl_ca_certs": str(server.certificates.ca)})
    plain: Server = request.getfixturevalue("valkey")
    return plain, connect(plain.url())


def _sockets_of(connections: Connections) -> set[str]:
    """The sockets of `connections`, by inode: descriptors are reused, inodes are not."""
    return {
        os.readlink(f"/proc/self/fd/{each._sock.fileno()}")
        for each in connections._live
        if each._sock is not None
    }


def _open_sockets() -> set[str]:
    """All sockets of this process."""
    found = set()
    for fd in range(3, 1024):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return {each for each in found if each.startswith("socket:")}


def test_reset_closes_everything_and_all_connect_again(
    private_server: Callable[..., Server], connect: Callable[..., Connections]
) -> None:
    server = private_server()
    connections = connect(server.url())
    connections.client().set("a", 1)
    pubsub = subscribe(connections)
    before = {each["id"] for each in server.admin.client_list() if each["name"] == "habeat"}
    assert len(before) == 2
    connections.reset()
    until(lambda: names(server).count("habeat") == 0, 5, "both connections are closed")
    assert connections.client().get("a") == b"1"
    until(lambda: pubsub.get_message(timeout=0.1), 5, "the subscriber subscribes again")
    assert listeners(server) == 1


def test_an_answer_that_is_out_when_all_is_closed_is_redis_being_away(
    valkey: Server, connect: Callable[..., Connections]
) -> None:
    """Another call has failed meanwhile; redis-py's parser fails in a way of its own then."""
    connections = connect(valkey.url())
    sent = Caller(connections, Keys("habeat:away")).send("observe")
    connections.reset()
    with pytest.raises(StoreUnavailable):
        sent.result()


def test_a_call_that_is_dropped_tells_what_has_come_and_its_connection_serves_on(
    valkey: Server, connect: Callable[..., Connections]
) -> None:
    caller = Caller(connect(valkey.url()), Keys("habeat:dropped"))
    caller.run("observe")
    before = len(names(valkey))
    sent = caller.send("observe")
    until(sent.has_come, 5, "the answer comes")
    reply = sent.drop()
    assert len(reply) == len(caller.run("observe"))
    assert len(names(valkey)) == before


def test_a_call_that_is_dropped_unanswered_costs_its_connection(
    valkey: Server, connect: Callable[..., Connections]
) -> None:
    """Its answer would be taken for the answer to the next call."""
    caller = Caller(connect(valkey.url()), Keys("habeat:dropped"))
    caller.run("observe")
    valkey.admin.client_pause(300, all=True)
    sent = caller.send("observe")
    assert not sent.has_come()
    assert sent.drop() is None
    assert int(caller.run("read")[0]) > 0


def test_an_idle_connection_is_kept_alive_before_a_nat_forgets_it(
    valkey: Server, connect: Callable[..., Connections]
) -> None:
    """With the kernel's own settings, the first probe would come after two hours."""
    client = connect(valkey.url()).client()
    assert client.connection_pool.connection_kwargs["socket_keepalive_options"] == KEEPALIVE
    ours = connect(valkey.url(), {"socket_keepalive_options": {}}).client()
    assert ours.connection_pool.connection_kwargs["socket_keepalive_options"] == {}


def test_close_leaves_nothing_open_and_a_later_call_starts_afresh(
    valkey: Server, connect: Callable[..., Connections]
) -> None:
    others = names(valkey).count("habeat")  # those that an earlier test has left for a moment
    connections = connect(valkey.url())
    connections.client().ping()
    pubsub = subscribe(connections)
    connections.close()
    connections.close()
    assert pubsub.connection is not None
    until(lambda: names(valkey).count("habeat") <= others, 5, "all connections are closed")
    assert connections.client().ping()


def test_a_short_lived_client_goes_with_its_connection(
    valkey: Server, connect: Callable[..., Connections]
) -> None:
    connections = connect(valkey.url())
    count = len(names(valkey))
    client = connections.short_lived(1.0)
    client.ping()
    assert len(names(valkey)) == count + 1
    client.close()
    until(lambda: len(names(valkey)) == count, 5, "its connection is closed")


@pytest.mark.parametrize("kind", BINARIES)
def test_faults_as_real_servers_word_them(
    kind: str, private_server: Callable[..., Server], connect: Callable[..., Connections]
) -> None:
    users = "user few on >secret ~mine &* +get +eval +ping\n"
    server = private_server(BINARIES[kind](), aclfile=users)
    free = connect(server.url())
    client = free.client()
    few = connect(f"redis://few:secret@{server.host}:{server.port}").client()
    script = "return redis.call('SET', KEYS[1], 1)"

    def fault(call: Callable[[], Any]) -> Fault:
        with pytest.raises(redis.RedisError) as caught:
            call()
        return classify(caught.value)

    assert fault(lambda: few.set("mine", 1)) is Fault.DENIED
    assert fault(lambda: few.get("yours")) is Fault.DENIED
    assert fault(lambda: few.eval(script, 1, "mine")) is Fault.DENIED
    assert fault(lambda: few.eval("return redis.call('GET', 'yours')", 1, "mine")) is Fault.DENIED
    assert fault(lambda: client.eval("return redis.call('NO')", 0)) is Fault.OTHER

    server.admin.config_set("min-replicas-to-write", 1)
    assert fault(lambda: client.set("a", 1)) is Fault.READ_ONLY
    assert fault(lambda: client.eval(script, 1, "a")) is Fault.READ_ONLY
    server.admin.config_set("min-replicas-to-write", 0)

    server.admin.config_set("maxmemory", 1)
    assert fault(lambda: client.set("a", 1)) is Fault.OUT_OF_MEMORY
    assert fault(lambda: client.eval(script, 1, "a")) is Fault.OUT_OF_MEMORY
    server.admin.config_set("maxmemory", 0)

    server.admin.replicaof(server.host, server.port + 1)
    assert fault(lambda: client.set("a", 1)) is Fault.READ_ONLY
    assert fault(lambda: client.eval(script, 1, "a")) is Fault.READ_ONLY
    server.admin.config_set("replica-serve-stale-data", "no")
    assert fault(lambda: client.get("a")) is Fault.UNREACHABLE
    assert fault(lambda: client.eval(script, 1, "a")) in (Fault.UNREACHABLE, Fault.READ_ONLY)
    server.admin.replicaof("NO", "ONE")

    server.admin.config_set("lua-time-limit", 50)  # all servers know this name
    endless = connect(server.url(), socket_timeout_s=0.2).client()
    assert fault(lambda: endless.eval("while true do end", 0)) is Fault.UNREACHABLE
    assert fault(lambda: client.get("a")) is Fault.BUSY
    server.admin.script_kill()
    until(lambda: answers(free, lambda client: client.ping()), 5, "the script is killed")

    server.admin.config_set("requirepass", "secret")
    assert fault(lambda: connect(server.url()).client().ping()) is Fault.DENIED
    server.kill()
    assert fault(lambda: client.get("a")) is Fault.UNREACHABLE
