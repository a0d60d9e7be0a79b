"""What ``health`` prints, for both ways of asking: Celery's command line and the console script.

Neither Celery nor the Client is imported here. That takes longer than the answer, and a probe asks
every few seconds.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from habeat.cli.command import bad, json_option
from habeat.cli.errors import as_typed
from habeat.cli.printing import plain, say, say_json
from habeat.core.events import EventCode
from habeat.core.health import Finding, Severity, errors
from habeat.core.health import error as redis_away
from habeat.errors import RedisUnavailable
from habeat.printable import plural

if TYPE_CHECKING:
    from habeat.client.status import Status

Command = TypeVar("Command", bound=Callable[..., None])

HEALTH_HELP = """Exit with status 0 if the scheduler is healthy.

That means: a live leader sends what is due, nothing is overdue beyond its grace, every firing
is accounted for, no entry keeps failing, no other scheduler has entries that are missing here
or sends them too, and nothing that was given up waits to be resent or purged."""


def health_options(function: Command) -> Command:
    """The options of ``health``."""
    require = click.option(
        "--require",
        type=click.Choice(["leader", "replica"]),
        help="Check only one thing: that some replica leads, or that a beat of this host is alive.",
    )
    return require(json_option(function))


def say_health(read: Callable[[], Status], *, require: str | None, as_json: bool) -> None:
    """Print whether the schedule is healthy; exit with status 1 if it is not."""
    try:
        status = read()
    except RedisUnavailable as error:
        if not as_json:
            raise
        finding = redis_away(EventCode.REDIS_UNAVAILABLE, str(error))
        say_json(_health(healthy=False, findings=(finding,)))
        return bad()
    if require is not None:
        return _say_required(status, require, as_json=as_json)
    if as_json:
        say_json(_health(healthy=status.healthy, findings=status.findings))
    else:
        _say_whole(status)
    if not status.healthy:
        bad()


def _say_whole(status: Status) -> None:
    if status.leader is not None and status.healthy:
        shadow = ", a shadow that sends nothing" if status.dispatch == "shadow" else ""
        standbys = plural(len(status.standbys), "standby")
        say(f"healthy: {status.leader.where} leads, {standbys}{shadow}")
    for finding in status.findings:
        if finding.severity is Severity.ERROR:
            say(f"unhealthy: {as_typed(finding.sentence)}", "red")
            say(f"  next step: {as_typed(finding.next_step)}")
    for sentence in status.remarks:
        say(f"note: {as_typed(sentence)}", "yellow")


def _say_required(status: Status, what: str, *, as_json: bool) -> None:
    """Print whether some replica leads, or whether a beat of this host is alive."""
    if what == "leader":
        found = status.leader.where if status.leader else None
        shown = f"{found} leads" if found else "no replica leads"
    else:
        host = socket.gethostname()
        alive = [
            each.where
            for each in status.replicas
            if each.host == host and each.id not in status.quiet_ms and not each.inert
        ]
        found = alive[0] if alive else None
        shown = f"{found} is alive" if found else f"no beat of {host} is alive and may lead"
    if as_json:
        say_json({"required": what, "met": found is not None, "replica": found})
    else:
        say(f"healthy: {shown}" if found else f"unhealthy: {shown}", "" if found else "red")
    if found is None:
        bad()


def _health(*, healthy: bool, findings: Sequence[Finding]) -> dict[str, object]:
    found = [plain(each) for each in findings]
    return {"healthy": healthy, "problems": errors(findings), "findings": found}
