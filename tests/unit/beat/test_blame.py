"""Whose fault: what is positively a connection's is suspected, all else is the entry's own."""

from __future__ import annotations

import socket
import ssl
import struct

import amqp
import pytest
import redis
from kombu import exceptions as kombu
from kombu.serialization import dumps

from habeat.beat.broker.blame import LONGEST_TEXT, Blame, blame, text_of


def wrapped(cause: BaseException) -> Exception:
    try:
        raise kombu.OperationalError(str(cause)) from cause
    except kombu.OperationalError as error:
        return error


def unencodable() -> Exception:
    try:
        dumps({"x": {1, 2}}, serializer="json")
    except Exception as error:
        return error
    raise AssertionError


class Cloudy(Exception):
    """As botocore's EndpointConnectionError: of a class that is unknown here."""


ENTRY = [
    KeyError("zstandrad"),  # kombu 5.7 lists it among Redis' connection errors
    AttributeError("'Own' object has no attribute 'x'"),
    TypeError("no"),
    ValueError("no"),
    struct.error("argument out of range"),
    ZeroDivisionError(),
    RecursionError(),
    SystemExit(3),
    KeyboardInterrupt(),
    wrapped(KeyError("x")),
    unencodable(),
    kombu.SerializerNotInstalled("No encoder installed for x"),
    kombu.InconsistencyError("Table empty or key no longer exists"),
    amqp.NotFound("no exchange"),
    amqp.PreconditionFailed("inequivalent arg 'durable'"),
    amqp.AccessRefused("of this exchange"),
    redis.ResponseError("WRONGTYPE Operation against a key"),
    redis.exceptions.NoPermissionError("NOPERM this user has no permissions"),
    redis.DataError("Invalid input of type: 'set'"),
]
SERVER = [
    redis.exceptions.OutOfMemoryError("OOM command not allowed"),
    redis.ResponseError("OOM command not allowed"),
    redis.exceptions.ReadOnlyError("READONLY You can't write"),
    redis.ResponseError("MISCONF Redis is configured to save"),
    redis.ResponseError("NOAUTH Authentication required."),
    redis.BusyLoadingError("LOADING"),
    redis.exceptions.AuthenticationError("WRONGPASS"),
    wrapped(redis.ResponseError("OOM command not allowed")),
]
SUSPECT = [
    ConnectionResetError(),
    BrokenPipeError(),
    TimeoutError(),
    socket.gaierror(),
    ssl.SSLCertVerificationError("a ValueError, too"),
    redis.ConnectionError("Connection closed by server"),
    redis.TimeoutError("Timeout reading"),
    amqp.RecoverableConnectionError("Socket was disconnected"),
    amqp.ConnectionForced("CONNECTION_FORCED"),
    amqp.FrameError("too large"),
    wrapped(ConnectionRefusedError()),
    kombu.OperationalError("of nothing that is known"),
    Cloudy("Could not connect to the endpoint URL"),
]


@pytest.mark.parametrize("error", ENTRY, ids=repr)
def test_mistakes_and_answers_to_one_message_are_the_entrys(error: BaseException) -> None:
    assert blame(error) is Blame.ENTRY


@pytest.mark.parametrize("error", SERVER, ids=repr)
def test_what_the_server_says_of_itself_is_believed(error: BaseException) -> None:
    assert blame(error) is Blame.SERVER


@pytest.mark.parametrize("error", SUSPECT, ids=repr)
def test_a_connections_failure_is_only_suspected(error: BaseException) -> None:
    assert blame(error) is Blame.SUSPECT


def test_another_programs_chain_of_causes_is_not_searched() -> None:
    """User code that fails while it handles a lost connection of its own is to blame."""
    error = KeyError("x")
    error.__context__ = ConnectionResetError()
    assert blame(error) is Blame.ENTRY
    own = RuntimeError("its own Redis is full")
    own.__context__ = redis.ResponseError("OOM command not allowed")
    assert blame(own) is Blame.SUSPECT


def test_what_is_reported_is_bounded_and_names_the_cause() -> None:
    assert text_of(wrapped(ConnectionRefusedError("refused"))) == "ConnectionRefusedError: refused"
    assert len(text_of(ValueError("x" * 10_000))) == LONGEST_TEXT
    assert text_of(ValueError()) == "ValueError"
