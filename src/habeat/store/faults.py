"""Classifies the exceptions of redis-py by what they say about Redis.

redis-py has classes for some error codes only, and the set has changed over time. NOREPLICAS,
MISCONF and BUSY are always plain ResponseErrors. OOM and NOPERM are in old releases. CLUSTERDOWN
has a class in old releases only on a Cluster client. Login failures are ConnectionErrors. Errors
raised inside a script are wrapped, in a way that depends on the server's version::

    6.2   Error running script (call to f_8a…): @user_script:1: @user_script: 1: -OOM command …
    7.0   OOM command not allowed when used memory > 'maxmemory'. script: 8a…, on @user_script:1.

So the code is looked for in all three places: the class, the first word, and the first word after
the wrapping.
"""

from __future__ import annotations

import enum
import re

import redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    TryAgainError,
)

from habeat.errors import RedisUnavailable


class Fault(enum.Enum):
    """What a failed call says about Redis."""

    UNREACHABLE = "unreachable"
    """No answer, or one that says to come back later: loading, a failover, moving hash slots.
    If there was no answer, the call may or may not have been executed."""

    READ_ONLY = "read_only"
    """It answers but accepts no writes: a demoted master, too few connected Redis replicas
    (min-replicas-to-write), or a disk that it cannot save to."""

    OUT_OF_MEMORY = "out_of_memory"
    """It answers but refuses writes that need memory (maxmemory)."""

    DENIED = "denied"
    """A wrong or missing password, or an ACL that denies the command, key or channel."""

    BUSY = "busy"
    """A script, not necessarily habeat's, has been running too long and blocks everything else."""

    OTHER = "other"
    """The call itself is wrong; waiting would not help."""


# RedisClusterException is not a RedisError, and sockets and credential providers raise OSError.
REDIS_ERRORS: tuple[type[Exception], ...] = (redis.RedisError, RedisClusterException, OSError)
"""For `except`: everything that a call through redis-py may raise because of Redis."""

_BY_CLASS: tuple[tuple[tuple[type[Exception], ...], Fault], ...] = (
    ((AuthenticationError, AuthorizationError, NoPermissionError), Fault.DENIED),
    ((ReadOnlyError,), Fault.READ_ONLY),
    ((OutOfMemoryError,), Fault.OUT_OF_MEMORY),
    ((BusyLoadingError, ClusterDownError, TryAgainError, AskError), Fault.UNREACHABLE),
)

_BY_CODE = {
    "READONLY": Fault.READ_ONLY,
    "NOREPLICAS": Fault.READ_ONLY,
    "MISCONF": Fault.READ_ONLY,
    "OOM": Fault.OUT_OF_MEMORY,
    "NOPERM": Fault.DENIED,
    "NOAUTH": Fault.DENIED,
    "WRONGPASS": Fault.DENIED,
    "BUSY": Fault.BUSY,
    "LOADING": Fault.UNREACHABLE,
    "MASTERDOWN": Fault.UNREACHABLE,
    "CLUSTERDOWN": Fault.UNREACHABLE,
    "TRYAGAIN": Fault.UNREACHABLE,
    "MOVED": Fault.UNREACHABLE,
    "ASK": Fault.UNREACHABLE,
}

# Texts without a code of their own.
_BY_TEXT = {
    "previous master is now a slave": Fault.READ_ONLY,  # redis-py's Sentinel connection
    "The user executing the script can't": Fault.DENIED,  # up to Redis 7.0
    "ACL failure in script": Fault.DENIED,  # since
    "max number of clients reached": Fault.UNREACHABLE,
}

_CODE = re.compile(r"\s*-?([A-Z]+)(?:\s|$)")
_CODE_IN_SCRIPT = re.compile(r":\s*-([A-Z]+)\s")


def classify(error: BaseException) -> Fault:
    """The fault behind `error`: an exception of redis-py, of a socket, or of habeat."""
    for classes, fault in _BY_CLASS:
        if isinstance(error, classes):
            return fault
    said = _by_words(str(error))
    if said is not None:
        return said
    return Fault.UNREACHABLE if isinstance(error, _NO_ANSWER) else Fault.OTHER


# The last two are, for example, SlotNotCoveredError or "Redis Cluster cannot be connected".
_NO_ANSWER = (
    redis.ConnectionError,
    redis.TimeoutError,
    OSError,
    RedisUnavailable,
    ClusterError,
    RedisClusterException,
)


def _by_words(text: str) -> Fault | None:
    for match in (_CODE.match(text), _CODE_IN_SCRIPT.search(text)):
        if match and match[1] in _BY_CODE:
            return _BY_CODE[match[1]]
    return next((fault for words, fault in _BY_TEXT.items() if words in text), None)
