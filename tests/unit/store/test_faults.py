"""Each error that Redis can answer with is recognised, also from inside a script."""

from __future__ import annotations

import pytest
import redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
    SlotNotCoveredError,
)
from redis.sentinel import MasterNotFoundError

from habeat.errors import RedisUnavailable
from habeat.store.faults import REDIS_ERRORS, Fault, classify

# How Redis 6.2 begins the error of a script.
IN_62 = (
    "Error running script (call to f_897afd4d23ee70efe0ede1685c1c94834429da77): "
    "@user_script:1: @user_script: 1: "
)
CASES: list[tuple[Exception, Fault]] = [
    (redis.ConnectionError("Error 111 connecting"), Fault.UNREACHABLE),
    (redis.TimeoutError("Timeout reading from socket"), Fault.UNREACHABLE),
    (TimeoutError(), Fault.UNREACHABLE),
    (ConnectionResetError(104, "reset"), Fault.UNREACHABLE),
    (BusyLoadingError("Redis is loading the dataset in memory"), Fault.UNREACHABLE),
    (ResponseError("LOADING Redis is loading"), Fault.UNREACHABLE),
    (ResponseError("MASTERDOWN Link with MASTER is down"), Fault.UNREACHABLE),
    (ResponseError("CLUSTERDOWN The cluster is down"), Fault.UNREACHABLE),
    (ClusterDownError("CLUSTERDOWN Hash slot not served"), Fault.UNREACHABLE),
    (ResponseError("TRYAGAIN Multiple keys request"), Fault.UNREACHABLE),
    (MovedError("3999 127.0.0.1:6381"), Fault.UNREACHABLE),
    (SlotNotCoveredError("not covered"), Fault.UNREACHABLE),
    (RedisClusterException("Redis Cluster cannot be connected"), Fault.UNREACHABLE),
    (MasterNotFoundError("No master found for 'm'"), Fault.UNREACHABLE),
    (ResponseError("max number of clients reached"), Fault.UNREACHABLE),
    (RedisUnavailable("no answer"), Fault.UNREACHABLE),
    (ReadOnlyError("You can't write against a read only replica."), Fault.READ_ONLY),
    (redis.ConnectionError("The previous master is now a slave"), Fault.READ_ONLY),
    (ResponseError(f"{IN_62}-READONLY You can't write against a read only replica."),
     Fault.READ_ONLY),
    (ResponseError(f"{IN_62}-NOREPLICAS Not enough good replicas to write."), Fault.READ_ONLY),
    (ResponseError("NOREPLICAS Not enough good replicas to write."), Fault.READ_ONLY),
    (ResponseError("MISCONF Redis is configured to save RDB snapshots"), Fault.READ_ONLY),
    (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
     Fault.OUT_OF_MEMORY),
    (ResponseError("OOM command not allowed when used memory > 'maxmemory'."),
     Fault.OUT_OF_MEMORY),
    (ResponseError("-OOM command not allowed when used memory > 'maxmemory'."),
     Fault.OUT_OF_MEMORY),
    (ResponseError(f"{IN_62}-OOM command not allowed when used memory > 'maxmemory'."),
     Fault.OUT_OF_MEMORY),
    (AuthenticationError("Authentication required."), Fault.DENIED),
    (ResponseError("WRONGPASS invalid username-password pair"), Fault.DENIED),
    (NoPermissionError("this user has no permissions to run 'set'"), Fault.DENIED),
    (ResponseError("ACL failure in script: User u has no permissions to run the 'set' command"),
     Fault.DENIED),
    (ResponseError(f"{IN_62}The user executing the script can't run this command or subcommand"),
     Fault.DENIED),
    (ResponseError("BUSY Redis is busy running a script."), Fault.BUSY),
    (ResponseError("BUSYKEY Target key name already exists."), Fault.OTHER),
    (ResponseError("wrong number of arguments for 'get' command"), Fault.OTHER),
    (ResponseError("WRONGTYPE Operation against a key"), Fault.OTHER),
    (ResponseError("value is READONLY or so"), Fault.OTHER),
    (ValueError("mine"), Fault.OTHER),
]  # fmt: skip


@pytest.mark.parametrize(("error", "fault"), CASES, ids=lambda case: str(case)[:40])
def test_each_error_has_its_fault(error: Exception, fault: Fault) -> None:
    assert classify(error) is fault


def test_all_that_redis_may_raise_can_be_caught() -> None:
    for error, fault in CASES:
        if fault is not Fault.OTHER and not isinstance(error, RedisUnavailable):
            assert isinstance(error, REDIS_ERRORS)
