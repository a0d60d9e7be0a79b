"""``adopt``: take along the entries made through the API from another prefix."""

from __future__ import annotations

import click

from habeat.cli.group import bad, command, json_option
from habeat.cli.printing import entries_counted, say, say_json
from habeat.client import Adoption, Client


@command("adopt")
@click.option("--from", "prefix", metavar="PREFIX", required=True, help="The old key prefix.")
@click.option("--dry-run", is_flag=True, help="Only show what would be moved.")
@click.option("--force", is_flag=True, help="Even while beats of the old prefix run.")
@json_option
def adopt_command(client: Client, prefix: str, dry_run: bool, force: bool, as_json: bool) -> None:
    """Move the entries made through the API here from another prefix.

    For an app that was renamed, or whose habeat_key_prefix was changed. Each entry continues where
    it stopped. Stop all beats of the old prefix first.
    """
    done = client.adopt(prefix, dry_run=dry_run, force=force)
    if as_json:
        say_json(done)
    else:
        _say(done)
    if done.refused:
        bad()


def _say(done: Adoption) -> None:
    moved = "moved" if done.written else "would be moved"
    say(f"{entries_counted(len(done.adopted))} made through the API {moved} from {done.prefix}")
    for name in done.adopted:
        say(f"  {name}")
    if done.left:
        say(f"{entries_counted(len(done.left))} of beat_schedule left there")
    for name, why in done.left.items():
        if "paused" in why:
            say(f"  {name}: {why}")
    for name, why in done.refused.items():
        say(f"refused: {name}: {why}")
