"""``step-down``: the leader hands over."""

from __future__ import annotations

import click

from habeat.cli.group import command, json_option
from habeat.cli.printing import say, say_json
from habeat.client import Client, HandOver, Leader


@command("step-down")
@click.option(
    "--to", metavar="REPLICA", help="The replica to lead next: its id, its host, or host:pid."
)
@json_option
def step_down_command(client: Client, to: str | None, as_json: bool) -> None:
    """Make the leader hand over to another replica, and wait until that one leads.

    The leader finishes what it is sending, releases its lease, and does not compete for it for ten
    seconds. No slot is lost, and none is sent twice.
    """
    done = client.step_down(to, asked=None if as_json else _say_waiting)
    if as_json:
        say_json({"before": _plain(done.before), "after": _plain(done.after), "gap_ms": _gap(done)})
    elif done.before.lease_epoch == done.after.lease_epoch:
        say(f"{done.after.where} leads already")
    else:
        gap = _gap(done)
        after = (
            "" if gap is None else f", {gap:.0f} ms after {done.before.where} released the lease"
        )
        say(f"{done.after.where} leads now{after}")


def _say_waiting() -> None:
    click.echo("waiting for the leader to hand over …", err=True)


def _plain(leader: Leader) -> dict[str, object]:
    return {
        "id": leader.id,
        "host": leader.host,
        "pid": leader.pid,
        "lease_epoch": leader.lease_epoch,
    }


def _gap(done: HandOver) -> float | None:
    return None if done.gap is None else done.gap.total_seconds() * 1_000
