"""The Client for asyncio: its methods are the Client's, and each runs in one of a few threads."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

import pytest

from habeat import errors
from habeat.client import AsyncClient, Client

Result = TypeVar("Result")

#: What needs no Redis is not awaited.
PLAIN = {"acting_as", "policies", "timezone", "redis"}
ITERATED = {"list", "follow"}
WAIT_S = 30.0


def public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in vars(kind).items() if not name.startswith("_")}


def test_both_clients_have_the_same_methods_and_properties() -> None:
    missing = public(Client).keys() - public(AsyncClient).keys()
    lines = [f"{name} = _awaited(Client.{name})" for name in sorted(missing)]
    assert not missing, f"add to client/async_client.py: {'; '.join(lines)}"
    assert public(AsyncClient).keys() == public(Client).keys()


@pytest.mark.parametrize("name", sorted(public(Client)))
def test_each_method_has_the_arguments_and_the_documentation_of_the_clients(name: str) -> None:
    ours, theirs = public(AsyncClient)[name], public(Client)[name]
    if isinstance(theirs, property):
        assert isinstance(ours, property)
        assert inspect.signature(ours.fget) == inspect.signature(theirs.fget)  # type: ignore[arg-type]
    else:
        assert inspect.signature(ours) == inspect.signature(theirs)
    if name != "close":
        assert ours.__doc__ == theirs.__doc__


@pytest.mark.parametrize("name", sorted(public(Client).keys() - PLAIN))
def test_each_call_is_awaited_or_iterated_over(name: str) -> None:
    found = inspect.isasyncgenfunction if name in ITERATED else inspect.iscoroutinefunction
    assert found(public(AsyncClient)[name])


def test_both_are_made_with_the_same_arguments() -> None:
    ours, theirs = (inspect.signature(kind).parameters for kind in (AsyncClient, Client))
    assert ours.keys() - theirs.keys() == {"threads"}
    assert theirs.keys() - ours.keys() == {"sleep", "on_commit"}
    for name in ours.keys() & theirs.keys():
        assert ours[name] == theirs[name]


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "8", None])
def test_there_is_at_least_one_thread(threads: Any) -> None:
    with pytest.raises(errors.ValidationError, match="threads"):
        AsyncClient("redis://", prefix="p", threads=threads)


class Calls:
    """Takes the place of `Client.server_time`: each call waits until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.count = 0
        self.go = threading.Event()
        self.outcome: Callable[[], Any] = lambda: "done"

    def __call__(self, client: Client) -> Any:
        self.count += 1
        self.begun.release()
        assert self.go.wait(WAIT_S)
        return self.outcome()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    made = Calls()
    from habeat.client import async_client

    monkeypatch.setattr(AsyncClient, "server_time", async_client._awaited(made))
    yield made
    made.go.set()


def client(**given: Any) -> AsyncClient:
    return AsyncClient("redis://localhost:1", prefix="p", **given)


def run(main: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(asyncio.wait_for(main, WAIT_S))


async def begun(calls: Calls, count: int = 1) -> None:
    """Wait until so many calls have begun, without blocking the loop."""
    for _ in range(count):
        await asyncio.to_thread(calls.begun.acquire, timeout=WAIT_S)


def test_the_loop_goes_on_while_a_call_waits(calls: Calls) -> None:
    async def main() -> Any:
        task = asyncio.create_task(client().server_time())
        await begun(calls)
        calls.go.set()  # by the loop: if the call blocked it, this line would not be reached
        return await task

    assert run(main()) == "done"


def test_an_error_of_a_call_is_raised_where_it_is_awaited(calls: Calls) -> None:
    def fail() -> Any:
        raise errors.EntryNotFound("a")

    calls.outcome = fail
    calls.go.set()
    with pytest.raises(errors.EntryNotFound):
        run(client().server_time())


def test_no_more_calls_run_at_once_than_there_are_threads(calls: Calls) -> None:
    async def main() -> list[Any]:
        ours = client(threads=2)
        tasks = [asyncio.create_task(ours.server_time()) for _ in range(5)]
        await begun(calls, 2)
        assert calls.count == 2
        calls.go.set()
        return await asyncio.gather(*tasks)

    assert run(main()) == ["done"] * 5
    assert calls.count == 5


def test_a_call_that_finds_no_thread_in_time_has_not_begun(calls: Calls) -> None:
    async def main() -> None:
        ours = client(threads=1, timeout=0.05)
        first = asyncio.create_task(ours.server_time())
        await begun(calls)
        with pytest.raises(errors.CallTimeout, match="give the client more threads") as caught:
            await ours.server_time()
        assert caught.value.argument == "threads"
        calls.go.set()
        assert await first == "done", "it had begun, so its own timeout counts"
        assert await ours.server_time() == "done"

    run(main())
    assert calls.count == 2


def test_a_cancelled_call_that_has_begun_continues_in_its_thread(calls: Calls) -> None:
    ended = threading.Event()

    async def main() -> None:
        task = asyncio.create_task(client().server_time())
        await begun(calls)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not ended.is_set()
        calls.go.set()
        await asyncio.to_thread(ended.wait, WAIT_S)

    calls.outcome = ended.set
    run(main())
    assert ended.is_set()


def test_a_cancelled_call_that_has_not_begun_is_dropped(calls: Calls) -> None:
    async def main() -> None:
        ours = client(threads=1)
        first = asyncio.create_task(ours.server_time())
        await begun(calls)
        second = asyncio.create_task(ours.server_time())
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        calls.go.set()
        await first
        await ours.close()

    run(main())
    assert calls.count == 1


def test_a_timeout_of_asyncio_ends_the_waiting(calls: Calls) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await client().server_time()
        calls.go.set()

    run(main())


def test_closing_waits_for_the_calls_that_have_begun(calls: Calls) -> None:
    async def main() -> None:
        ours = client()
        task = asyncio.create_task(ours.server_time())
        await begun(calls)
        closing = asyncio.create_task(ours.close())
        await asyncio.sleep(0.01)
        assert not closing.done()
        calls.go.set()
        await closing
        assert await task == "done"
        assert await ours.server_time() == "done", "a later call works again"

    run(main())


def test_a_context_of_the_caller_is_seen_by_its_call(calls: Calls) -> None:
    request: ContextVar[str] = ContextVar("request")
    calls.outcome = request.get
    calls.go.set()

    async def main() -> Any:
        request.set("r1")
        return await client().server_time()

    assert run(main()) == "r1"


def test_one_client_is_used_by_several_loops(calls: Calls) -> None:
    calls.go.set()
    ours = client()
    assert [run(ours.server_time()) for _ in range(3)] == ["done"] * 3
