"""User name and password that may change: from a credential provider, or from callables.

A server may close a connection when the password that it logged in with expires. For the pub/sub
connection of a beat, that would look like a crash: others see by it that the beat is alive, and
with RESP2 a subscriber cannot log in again. So the provider is asked at intervals, and once it
returns something else, the connections are replaced while the old password is still valid.
Providers return a new one minutes before the old one expires.

A provider may take its time, so it is asked in a thread. The thread ends with the answer, and no
second one is started before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import redis
from redis.credentials import CredentialProvider

if TYPE_CHECKING:  # a probe, which needs no port, does not import them
    from habeat.ports import Clock


ASK_EVERY_US = 1_000_000
#: The longest time between two questions to a slow provider, ...
ASK_AT_LEAST_EVERY_US = 60_000_000
#: ... which is asked less often: it may work for a hundredth of the time.
SHARE_OF_TIME = 100
#: A connection that is made this soon after an answer uses it, instead of asking the provider in
#: the thread that connects.
FRESH_US = 5_000_000


class Credentials(CredentialProvider):
    """What redis-py asks whenever it connects; `generation` grows when the answer changes."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask
        self._last: tuple[str, ...] | None = None
        self._next_us = 0
        self._is_asking = False
        self._is_fresh: Callable[[], bool] = lambda: False
        self.generation = 0

    def get_credentials(self) -> Any:
        """The password, or user and password; redis.ConnectionError if the provider fails.

        Its errors are not quoted, because they may contain a password.
        """
        return self._last if self._is_fresh() else self._answer()

    def _answer(self) -> tuple[str, ...]:
        try:
            found = self._ask()
        except Exception as error:
            name = type(error).__name__
            raise redis.ConnectionError(f"the credential provider failed with {name}") from error
        if not isinstance(found, Sequence) or not 1 <= len(found) <= 2 or isinstance(found, str):
            raise redis.ConnectionError(
                "the credential provider is wrong: get_credentials() must return (password,) or "
                "(user, password)"
            )
        if self._last is not None and self._last != tuple(found):
            self.generation += 1
        self._last = tuple(found)
        return self._last

    def look(self, clock: Clock) -> int:
        """The generation; asks the provider for the next look if it is time to."""
        known = self._last is not None
        if known and not self._is_asking and clock.monotonic_us() >= self._next_us:
            self._is_asking = True
            ask = partial(self._look, clock)
            try:
                threading.Thread(target=ask, name="habeat credentials", daemon=True).start()
            except RuntimeError:  # the host allows no more threads: look again later
                self._next_us, self._is_asking = clock.monotonic_us() + ASK_EVERY_US, False
        return self.generation

    def forget(self) -> None:
        """In a forked child: the thread that was asking is not there."""
        self._is_asking = False

    def _look(self, clock: Clock) -> None:
        began_us = clock.monotonic_us()
        try:
            self._answer()
            fresh_until_us = clock.monotonic_us() + FRESH_US
            self._is_fresh = lambda: clock.monotonic_us() < fresh_until_us
        except redis.ConnectionError:
            pass  # the connections that are open stay; the next one to connect says so
        finally:
            ended_us = clock.monotonic_us()
            pause_us = max(ASK_EVERY_US, SHARE_OF_TIME * (ended_us - began_us))
            self._next_us = ended_us + min(pause_us, ASK_AT_LEAST_EVERY_US)
            self._is_asking = False


def of_provider(provider: Any) -> Credentials | None:
    """Credentials that ask this provider; None without one."""
    return None if provider is None else Credentials(provider.get_credentials)
