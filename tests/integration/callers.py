"""Callers of one Client that compete at the same time; some of their requests and replies are lost.

Run as a program, it is one process of callers, and prints their calls as JSON lines.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from dataclasses import asdict
from typing import Any

from habeat.client import Client
from habeat.config.redis_target import redis_target
from habeat.errors import EntryExists, EntryNotFound, RedisUnavailable, RevisionConflict
from habeat.ports import StoreUnavailable
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.entries import EntryStore
from habeat.store.keys import Keys
from tests.verification.history.linear import UNKNOWN, Call

PREFIX = "habeat:linear"
WRITERS = ("write", "remove", "rename")
VALUES = ("x", "y")
CALLS_A_ROUND = 3


class Losing:
    """Some writes of this process are executed without an answer, and some arrive late."""

    def __init__(self, url: str, seed: int) -> None:
        self._chance = random.Random(seed)
        self._late = EntryStore(Caller(Connections(redis_target(url)), Keys(PREFIX)))
        self._threads: list[threading.Thread] = []
        for method in WRITERS:
            self._wrap(method)

    def _wrap(self, method: str) -> None:
        real = getattr(EntryStore, method)

        def act(store: EntryStore, *given: Any) -> Any:
            fate = self._chance.random()
            if fate < 0.15:
                real(store, *given)
            elif fate < 0.3:
                late = threading.Thread(target=self._later, args=(real, given))
                self._threads.append(late)
                late.start()
            else:
                return real(store, *given)
            raise StoreUnavailable("unreachable", "the reply was lost")

        setattr(EntryStore, method, act)

    def _later(self, real: Any, given: Any) -> None:
        time.sleep(self._chance.random() * 0.03)
        real(self._late, *given)

    def settle(self) -> None:
        for thread in self._threads:
            thread.join()


class OneCaller:
    """One thread's calls, each written down with its answer."""

    def __init__(self, client: Client, seed: int) -> None:
        self._client = client
        self._chance = random.Random(seed)
        self.calls: list[Call] = []

    def round(self, names: tuple[str, str]) -> None:
        for _ in range(CALLS_A_ROUND):
            self._one(names)

    def _one(self, names: tuple[str, str]) -> None:
        chance = self._chance
        name, other = chance.sample(names, 2)
        act = chance.choice(("add", "add", "update", "update", "update", "remove", "rename", "get"))
        fields: dict[str, Any] = {"act": act, "name": name}
        if act == "add":
            fields["value"] = chance.choice(VALUES)
        elif act == "update":
            fields |= {"value": chance.choice(VALUES), "expected": self._seen(name)}
        elif act == "rename":
            fields["new_name"] = other
        self._note(fields)

    def _seen(self, name: str) -> int:
        """The revision that a caller has read; the read is a call of its own."""
        call = self._note({"act": "get", "name": name})
        return call.rev or 1

    def _note(self, fields: dict[str, Any]) -> Call:
        began = time.monotonic()
        answer = self._answer(fields)
        call = Call(began, time.monotonic(), **fields, **answer)
        self.calls.append(call)
        return call

    def _answer(self, fields: dict[str, Any]) -> dict[str, Any]:
        try:
            entry = self._ask(fields)
        except EntryExists:
            return {"answer": "exists"}
        except EntryNotFound:
            return {"answer": "missing"}
        except RevisionConflict as error:
            # Overtaken again and again, a call without a revision gives up: it has done nothing.
            return {"answer": UNKNOWN if error.expected_rev is None else "conflict"}
        except RedisUnavailable:
            return {"answer": UNKNOWN}
        if entry is None:
            return {"answer": "ok"}
        return {"answer": "ok", "rev": entry.rev, "found": entry.description}

    def _ask(self, fields: dict[str, Any]) -> Any:
        client, name = self._client, fields["name"]
        match fields["act"]:
            case "add":
                return client.add(name, "t", 3600, description=fields["value"])
            case "update":
                return client.update(name, rev=fields["expected"], description=fields["value"])
            case "rename":
                return client.rename(name, fields["new_name"])
            case "remove":
                client.remove(name)
                return None
        return client.get(name)


def names_of(number: int) -> tuple[str, str]:
    """The names that a round is about."""
    return f"{number}a", f"{number}b"


def process(url: str, seed: int, threads: int, everybody: int, rounds: int) -> list[Call]:
    """The calls of one process by several threads; a round begins once `everybody` is there."""
    losing = Losing(url, seed)
    client = Client(url, prefix=PREFIX, timeout=20.0)
    meeting = Client(url, prefix=PREFIX)
    callers = [OneCaller(client, seed * 100 + n) for n in range(threads)]

    def run(caller: OneCaller) -> None:
        for number in range(rounds):
            _meet(meeting, f"round:{number}", everybody)
            caller.round(names_of(number))

    running = [threading.Thread(target=run, args=(caller,)) for caller in callers]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    losing.settle()
    client.close()
    return [call for caller in callers for call in caller.calls]


def _meet(client: Client, key: str, everybody: int) -> None:
    """Wait until all have come."""
    ends = time.monotonic() + 30
    client._calls.read(lambda session: session.inspection._caller.do(lambda redis: redis.incr(key)))
    while time.monotonic() < ends:
        there = client._calls.read(
            lambda session: session.inspection._caller.do(lambda redis: redis.get(key))
        )
        if int(there or 0) >= everybody:
            return
        time.sleep(0.001)
    raise TimeoutError(f"not everybody came to {key}")


if __name__ == "__main__":
    url, *numbers = sys.argv[1:]
    for made in process(url, *map(int, numbers)):
        print(json.dumps(asdict(made)))
