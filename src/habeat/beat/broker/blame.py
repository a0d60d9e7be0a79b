"""Decide why a message could not be sent: because of its entry, or because of the broker.

kombu's own classification is of no use here. Its `connection_errors` contain errors of the user's
options (with Redis, kombu 5.7 lists KeyError) and lack the errors of the cloud libraries. So errors
are classified by what a connection cannot raise:

entry       an error that no connection raises (TypeError, KeyError, …), or the broker's answer to
            this one message: the channel was closed, the queue is not a list, an ACL forbids it.
server      the server reports that it serves no client: full, read-only, loading, busy, or it
            refuses the login.
suspect     everything else: sockets, timeouts, the connection classes of redis-py and py-amqp, and
            unknown classes. The connection may be gone, or the message may have made the server
            close it. Only a probe without any data of the entry can tell.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator

import redis
from amqp.exceptions import AMQPError, ChannelError
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

LONGEST_TEXT = 500


class Blame(enum.Enum):
    """The cause of an error; see above."""

    ENTRY = "entry"
    SERVER = "server"
    SUSPECT = "suspect"


#: Errors raised for bad arguments, and never by a connection.
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
    InconsistencyError,  # py-amqp calls it a connection error, but it is raised for bindings
    ChannelError,
)

_SERVER_SAYS = frozenset((Fault.UNREACHABLE, Fault.READ_ONLY, Fault.OUT_OF_MEMORY, Fault.BUSY))


def blame(error: BaseException) -> Blame:
    """What to blame for an error raised while a message was built or sent."""
    if isinstance(error, _MISTAKES) and not isinstance(error, OSError):
        return Blame.ENTRY
    cause = innermost(error)
    if isinstance(cause, redis.RedisError):
        return _of_redis(cause)
    mistaken = isinstance(cause, _MISTAKES) or not isinstance(cause, Exception)
    return Blame.ENTRY if mistaken and not isinstance(cause, OSError) else Blame.SUSPECT


def may_be_of_a_connection(error: BaseException) -> bool:
    """Whether the error comes from a connection, to the broker or another server."""
    kinds = (OSError, redis.RedisError, AMQPError, KombuError)
    return isinstance(error, kinds) or isinstance(innermost(error), kinds)


def _of_redis(error: redis.RedisError) -> Blame:
    """Believe what Redis says about its own state; a lost connection has to be probed."""
    fault = classify(error)
    if isinstance(error, (redis.ConnectionError, redis.TimeoutError)):
        refused = fault is Fault.DENIED  # at the handshake: a wrong password, for every message
        loading = isinstance(error, redis.BusyLoadingError)
        return Blame.SERVER if refused or loading else Blame.SUSPECT
    if fault in _SERVER_SAYS or str(error).startswith("NOAUTH"):
        return Blame.SERVER
    return Blame.ENTRY


def innermost(error: BaseException) -> BaseException:
    """The error that kombu's wrappers wrap; any other error itself."""
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


def text_of(error: BaseException) -> str:
    """The error in a few words: the cause instead of kombu's wrapper, which says less."""
    shown = innermost(error)
    kind = type(shown).__name__
    return f"{kind}: {shown}"[:LONGEST_TEXT] if str(shown) else kind
