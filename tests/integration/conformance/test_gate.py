"""The model, fakeredis and real servers answer the same, and keep the same, for random plays.

`HABEAT_SEEDS=2000` plays more of them, `HABEAT_SEEDS=17:18` one again.
"""

from __future__ import annotations

import os

import fakeredis
import pytest

from tests.integration.conformance.gate import difference_of, hold, seeds
from tests.integration.conformance.play import DRAWERS, WEIGHTS
from tests.integration.conformance.sides import ModelSide, Outcome, ServerSide
from tests.integration.conformance.steps import Step, shipped
from tests.support.servers.redis_server import Server

if os.environ.get("HABEAT_SEEDS"):
    pytestmark = pytest.mark.timeout(0)


def test_every_script_of_the_folder_is_drawn() -> None:
    assert shipped() == WEIGHTS.keys() == DRAWERS.keys()


@pytest.mark.parametrize("count", [4, pytest.param(10, marks=pytest.mark.slow)])
def test_the_model_and_valkey_9(valkey: Server, count: int) -> None:
    hold(seeds(count), ModelSide(), ServerSide("valkey", valkey.admin))


def test_the_model_and_redis_7_0(redis70: Server) -> None:
    hold(seeds(3), ModelSide(), ServerSide("redis 7.0", redis70.admin))


def test_the_model_and_redis_6_2(redis62: Server) -> None:
    hold(seeds(3), ModelSide(), ServerSide("redis 6.2", redis62.admin))


def test_the_model_and_fakeredis() -> None:
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer(), protocol=2)
    fake = ServerSide("fakeredis", client, plain_sums=True)
    hold(seeds(3), ModelSide(plain_sums=True), fake, steps=150)


def test_what_fakeredis_lacks_is_known() -> None:
    """If this fails, fakeredis has learnt `sha1hex`: `plain_sums` can go."""
    fake = fakeredis.FakeRedis(protocol=2)
    assert fake.eval("return type(redis.sha1hex)", 0) == b"nil"


@pytest.mark.parametrize("fault", ["reply", "content", "expiry"])
def test_a_difference_is_found_shortened_and_reported(fault: str, valkey: Server) -> None:
    """The gate itself is tested: the model gets a fault."""
    server = ServerSide("valkey", valkey.admin)
    found = next(
        filter(None, (difference_of(seed, _Wrong(fault), server) for seed in range(5))), ""
    )
    assert "model and valkey differ after" in found
    steps = int(found.partition("differ after ")[2].split()[0])
    assert steps <= 6, found


class _Wrong(ModelSide):
    """A model with one fault."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self._fault = fault

    def play(self, step: Step) -> Outcome:
        done = super().play(step)
        if self._fault == "reply" and step.name == "samehost":
            return Outcome(b"other", done.state)
        state = dict(done.state)
        for where, (kind, content, ends_ms) in done.state.items():
            if self._fault == "content" and kind == b"zset":
                state[where] = (kind, content + b"1:x1:5", ends_ms)
            if self._fault == "expiry" and ends_ms >= 0:
                state[where] = (kind, content, ends_ms + 1)
        return Outcome(done.reply, state)
