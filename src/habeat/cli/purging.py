"""``purge``: delete everything that habeat keeps under the app's prefix."""

from __future__ import annotations

import click

from habeat.cli.group import check_terminal, command, json_option
from habeat.cli.printing import entries_counted, say, say_json
from habeat.client import Client, Purge
from habeat.printable import plural


@command("purge")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--force", is_flag=True, help="Even while beats of this prefix run.")
@json_option
def purge_command(client: Client, dry_run: bool, yes: bool, force: bool, as_json: bool) -> None:
    """Delete all of habeat's keys of this app's prefix, and no others.

    Stop all beats first. To keep the entries made through the API, run `export` before.
    """
    if dry_run:
        done = client.purge(dry_run=True)
    else:
        if not yes:
            _confirm(client)
        done = client.purge(force=force)
    if as_json:
        say_json(done)
    else:
        _say(done)


def _confirm(client: Client) -> None:
    check_terminal("purge")
    found = client.purge(dry_run=True)
    for line in _warnings(found):
        click.echo(line, err=True)
    click.confirm(f"Delete {_what(found)}?", abort=True, err=True)


def _what(found: Purge) -> str:
    keys = plural(found.total, "key")
    return f"the {keys} of prefix {found.prefix}, with {entries_counted(found.entries)}"


def _warnings(found: Purge) -> list[str]:
    lines = []
    if found.in_flight:
        lines.append(
            f"{plural(found.in_flight, 'claimed firing')} may not have been sent: "
            "one more beat would send what is left"
        )
    if found.dead:
        lines.append(f"{plural(found.dead, 'firing or request', 'firings or requests')} given up")
    return lines


def _say(done: Purge) -> None:
    say(f"{'deleted' if done.deleted else 'would delete'} {_what(done)}")
    for kind, count in done.keys.items():
        say(f"  {kind}: {count}")
    if not done.deleted:
        for line in _warnings(done):
            say(line)
    if done.kept:
        say(f"kept, because habeat did not write {'it' if len(done.kept) == 1 else 'them'}:")
        for name in done.kept:
            say(f"  {name}")
