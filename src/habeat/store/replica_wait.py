"""Runs a script and the WAIT for its writes on the same connection.

WAIT counts the Redis replicas that have the writes made *on its own connection*. On another
connection, or one that redis-py has reopened in between, there are no writes to wait for, so every
connected Redis replica counts, even a frozen one. In a Cluster, WAIT must go to the node that ran
the script, but redis-py sends it to any node. So both requests are written to one connection of
that node, and both replies are read from it.
"""

from __future__ import annotations

from typing import Any

import redis
from redis.cluster import RedisCluster
from redis.exceptions import AskError, ClusterDownError, MovedError, NoScriptError, TryAgainError

from habeat.store.pipelining import packed, taken
from habeat.store.scripting import Script

_ELSEWHERE = (AskError, ClusterDownError, MovedError, TryAgainError)


def run_and_wait(
    client: Any, script: Script, keys: tuple[str, ...], args: tuple[Any, ...], wanted: int, ms: int
) -> tuple[Any, int]:
    """The script's reply, and how many Redis replicas have its writes."""
    pool = _pool(client, keys[0])
    if pool is None:
        return script.run(client, keys, *args), int(client.wait(wanted, ms))
    words = (len(keys), *keys, *args)
    wait = ("WAIT", wanted, ms)
    connection = taken(pool)
    try:
        try:
            reply, have = _both(connection, ("EVALSHA", script.sha, *words), wait)
        except NoScriptError:
            reply, have = _both(connection, ("EVAL", script.text, *words), wait)
    except _ELSEWHERE as error:  # a ConnectionError makes the caller read the Cluster again
        raise redis.ConnectionError(f"another node has the hash slot now ({error})") from error
    except (redis.ConnectionError, redis.TimeoutError, OSError):
        connection.disconnect()  # another call would take an unread reply for its own
        raise
    finally:
        pool.release(connection)
    return reply, int(have)


def _both(connection: Any, call: tuple[Any, ...], wait: tuple[Any, ...]) -> tuple[Any, Any]:
    connection.send_packed_command([packed(call), packed(wait)])
    failed: Exception | None = None
    reply: Any = None
    try:
        reply = connection.read_response()
    except redis.ResponseError as error:
        failed = error
    try:
        have = connection.read_response()
    except redis.ResponseError:
        if failed is None:
            raise
    if failed is not None:
        raise failed
    return reply, have


def _pool(client: Any, key: str) -> Any:
    """The pool of the server that runs our scripts; None for a client other than redis-py's."""
    if type(client) is redis.Redis:
        return client.connection_pool
    if not isinstance(client, RedisCluster):
        return None
    node = client.get_node_from_key(key)  # type: ignore[no-untyped-call]
    if node is None:
        raise redis.ConnectionError(f"no node of the Cluster owns the hash slot of {key!r}")
    return client.get_redis_connection(node).connection_pool
