"""Whose fault is it that a message could not be sent: the connection's, or the entry's?

kombu cannot be asked. Its `connection_errors` mix what a socket raises with what a misspelt option
raises (with Redis, kombu 5.7 lists KeyError), and they miss what the cloud libraries raise. So the
question is put the other way round:

entry       an error that no connection raises (TypeError, KeyError, …), or an answer of the broker
            to this one message: the channel was closed, the queue is no list, an ACL forbids it.
server      the server says about itself that it serves nobody: full, read-only, loading, busy, or
            it does not let us in.
suspect     everything else: sockets, timeouts, the connection classes of redis-py and py-amqp, and
            classes that are not known here. The connection may be gone, or the message may have
            made the server close it. Only a probe that has nothing of the entry in it can tell.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator

import redis
from amqp.exceptions import ChannelError
from kombu.exceptions import (
    InconsistencyError,
    KombuError,
    MessageStateError,
    NotBoundError,
    OperationalError,
    SerializationError,
    SerializerNotInstalled,
)

from habeat.store.faults import Fault, classify

TOLD_AT_MOST = 500


class Blame(enum.Enum):
    """Who is to blame for an error; see above."""

    ENTRY = "entry"
    SERVER = "server"
    SUSPECT = "suspect"


#: What programs raise over their arguments, and no connection does.
_MISTAKES: tuple[type[BaseException], ...] = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    NameError,
    ImportError,
    AssertionError,
    RecursionError,
    MemoryError,
    struct.error,
    SerializationError,
    SerializerNotInstalled,
    NotBoundError,
    MessageStateError,
    InconsistencyError,  # of py-amqp's connection errors, and raised for a table of bindings
    ChannelError,
)

_SERVER_SAYS = frozenset((Fault.UNREACHABLE, Fault.READ_ONLY, Fault.OUT_OF_MEMORY, Fault.BUSY))


def blame(error: BaseException) -> Blame:
    """Judge an error that was met while something of an entry was being built or sent."""
    if isinstance(error, _MISTAKES) and not isinstance(error, OSError):
        return Blame.ENTRY
    cause = innermost(error)
    if isinstance(cause, redis.RedisError):
        return _of_redis(cause)
    mistaken = isinstance(cause, _MISTAKES) or not isinstance(cause, Exception)
    return Blame.ENTRY if mistaken and not isinstance(cause, OSError) else Blame.SUSPECT


def _of_redis(error: redis.RedisError) -> Blame:
    """Redis' own words for its state are believed; a lost connection has to be probed."""
    fault = classify(error)
    if isinstance(error, (redis.ConnectionError, redis.TimeoutError)):
        refused = fault is Fault.DENIED  # at the handshake: the password, for everybody
        loading = isinstance(error, redis.BusyLoadingError)
        return Blame.SERVER if refused or loading else Blame.SUSPECT
    if fault in _SERVER_SAYS or str(error).startswith("NOAUTH"):
        return Blame.SERVER
    return Blame.ENTRY


def innermost(error: BaseException) -> BaseException:
    """What a wrapper of kombu's wraps; any other error is what it is."""
    for each in _wrapped(error):
        error = each
    return error


def _wrapped(error: BaseException) -> Iterator[BaseException]:
    """The chain of causes below kombu's own error classes."""
    seen: set[int] = set()
    while isinstance(error, (OperationalError, KombuError)) and id(error) not in seen:
        seen.add(id(error))
        below = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if below is None:
            return
        yield below
        error = below


def told(error: BaseException) -> str:
    """The error in a few words; a wrapper's cause says more than the wrapper."""
    shown = innermost(error)
    kind = type(shown).__name__
    return f"{kind}: {shown}"[:TOLD_AT_MOST] if str(shown) else kind
