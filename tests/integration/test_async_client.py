"""The Client for asyncio against a real server."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

import habeat
from habeat import AsyncClient, Client, errors
from habeat.client import SyncPlan
from tests.support.servers.children import until
from tests.support.servers.proxy import Proxy
from tests.support.servers.redis_server import Server

PREFIX = "habeat:async"
Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(asyncio.wait_for(main, 60))


@pytest.fixture
def sync_client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


def made(server: Server | Proxy, **given: Any) -> AsyncClient:
    return AsyncClient(server.url(), prefix=PREFIX, **given)


def test_the_life_of_an_entry(valkey: Server, sync_client: Client) -> None:
    async def main() -> None:
        async with made(valkey) as client:
            added = await client.add("a", "proj.a", 60, tags=["x"])
            assert added == await client.get("a") == sync_client.get("a")
            changed = await client.update("a", rev=added.rev, schedule=120)
            assert changed.rev == 2
            with pytest.raises(errors.RevisionConflict):
                await client.update("a", rev=1, schedule=5)
            assert (await client.pause("a", "why")).state.paused == "why"
            assert (await client.resume("a")).condition == "active"
            assert (await client.rename("a", "b")).name == "b"
            assert len(await client.preview("b", 3)) == 3
            request = await client.trigger("b")
            assert await client.trigger("b", request_id=request) == request
            assert {record.entry for record in await client.history("b")} == {"b"}
            assert (await client.status()).entries.total == 1
            assert abs(await client.server_time() - datetime.now(UTC)) < timedelta(hours=1)
            plan = await client.sync([], tag="x", dry_run=True)
            assert plan == SyncPlan("x", removed=("b",))
            document = await client.export()
            assert await client.remove("b") == 1
            assert (await client.load(document)).added == ("b",)
            with pytest.raises(errors.EntryNotFound):
                await client.get("a")
            assert client.policies(await client.get("b")).misfire == "latest"
            assert client.redis == sync_client.redis
            assert client.timezone == "UTC"

    run(main())


def test_a_list_is_iterated_over_page_by_page(valkey: Server, sync_client: Client) -> None:
    names = [f"e{number:03}" for number in range(350)]
    sync_client.add_many({"name": name, "task": "t", "schedule": 60} for name in names)

    async def main() -> None:
        client = made(valkey)
        assert [entry.name async for entry in client.list()] == names
        assert [entry.name async for entry in client.list(prefix="e34")] == names[340:]
        async for entry in client.list():
            if entry.name == "e120":
                break
        with pytest.raises(errors.ValidationError, match="state"):
            async for _ in client.list(state="gone"):  # type: ignore[arg-type]
                pass
        await client.close()

    run(main())


def test_many_calls_at_the_same_time_share_the_connections(
    private_server: Callable[..., Server],
) -> None:
    server = private_server()

    async def main() -> None:
        async with made(server, threads=4) as client:
            await asyncio.gather(*(client.add(f"e{n}", "t", 60) for n in range(100)))
            assert len([entry async for entry in client.list()]) == 100
            mine = [each for each in server.admin.client_list() if each["name"] == "habeat-client"]
            assert len(mine) <= 4

    run(main())


def test_the_loop_goes_on_while_redis_does_not_answer(valkey: Server) -> None:
    proxy = Proxy(valkey.host, valkey.port)

    async def main() -> int:
        async with made(proxy, timeout=0.5) as client:
            await client.status()
            proxy.stall()
            call = asyncio.create_task(client.status())
            turns = 0
            while not call.done():
                await asyncio.sleep(0)
                turns += 1
            with pytest.raises(errors.RedisUnavailable):
                await call
            return turns

    try:
        assert run(main()) > 10
    finally:
        proxy.close()


def test_a_cancelled_write_that_has_begun_takes_effect(
    valkey: Server, sync_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    real = Client.add

    def add(*args: Any, **given: Any) -> Any:
        begun.set()
        assert go.wait(30)
        return real(*args, **given)

    from habeat.client import async_client

    monkeypatch.setattr(AsyncClient, "add", async_client._awaited(add))

    async def main() -> None:
        async with made(valkey) as client:
            task = asyncio.create_task(client.add("a", "t", 60))
            await asyncio.to_thread(begun.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go.set()

    run(main())  # closing the client waits for the call
    assert sync_client.get("a").name == "a"


def test_a_forked_process_goes_on_with_the_client(valkey: Server, sync_client: Client) -> None:
    client = made(valkey)
    run(client.add("parent", "t", 60))
    # A thread that waits for calls: the child must not count on it.
    executor: Any = client._pool._executor
    until(lambda: executor._idle_semaphore._value > 0, 10, "the thread waits for the next call")
    child = os.fork()
    if child == 0:  # no assertions here: the parent looks at what the child has written
        signal.alarm(10)
        try:
            run(client.add("child", "t", 60))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    run(client.add("parent-2", "t", 60))
    assert [entry.name for entry in sync_client.list()] == ["child", "parent", "parent-2"]
    run(client.close())


def test_a_guard_restricts_it(valkey: Server) -> None:
    async def main() -> None:
        async with made(valkey, guard=habeat.Guard(prefix="t7:")) as client:
            await client.add("t7:a", "t", 60)
            with pytest.raises(errors.NotAllowed):
                await client.add("t8:a", "t", 60)

    run(main())


def test_records_are_followed_without_keeping_a_thread(
    valkey: Server, sync_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from habeat.client import async_client

    monkeypatch.setattr(async_client, "FOLLOW_EVERY_S", 0.01)
    sync_client.add("a", "t", 60)
    sync_client.add("b", "t", 60)
    sync_client.rename("b", "c")  # written to the ledger before anybody follows

    async def next_name(client: AsyncClient, name: str | None = None) -> str:
        async for record in client.follow(name):
            return record.entry
        raise AssertionError("it never ends")

    async def main() -> None:
        async with made(valkey, threads=1) as client:
            followers = [asyncio.create_task(next_name(client)) for _ in range(3)]
            one = asyncio.create_task(next_name(client, "c"))
            while not all(task.done() for task in followers):
                await client.rename("a", "x")  # the only thread is free between two looks
                await client.rename("x", "a")
            assert {await task for task in followers} <= {"a", "x"}
            assert not one.done()
            one.cancel()
            with pytest.raises(asyncio.CancelledError):
                await one
            with pytest.raises(errors.EntryNotFound):
                await next_name(client, "missing")

    run(main())
