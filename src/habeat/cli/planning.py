"""``plan``: what a deploy does to the entries in Redis, and a change to the coming weeks' slots."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from habeat.beat.declared.offline import OfflineSchedule, read_offline
from habeat.cli.deploying import deploy_json, deploy_lines
from habeat.cli.errors import quoted, suggested
from habeat.cli.group import LONG_TIMEOUT_S, HabeatCommand, bad, client_app, json_option
from habeat.cli.planned import plan_json, plan_lines
from habeat.cli.printing import say, say_json, say_whole
from habeat.cli.revisions import mixed_in, schedule_at
from habeat.cli.words import MOMENT
from habeat.client import Client
from habeat.client.change_plan import (
    ChangePlan,
    DeployPlan,
    SavedSchedule,
    Window,
    compare_schedules,
)
from habeat.client.change_plan.saved import MOST_BYTES
from habeat.errors import HabeatError, ValidationError
from habeat.printable import printable
from habeat.schedules.schedule import to_ms

DAYS = 35
DAYS_MOST = 366
MINUTE_MS = 60_000


class ScheduleUnreadable(HabeatError):
    """This code's schedule cannot be read, so nothing can be compared."""


@click.command("plan", cls=HabeatCommand)
@click.option("--since", metavar="REV|FILE", help="A git revision, or a file that --save wrote.")
@click.option("--save", metavar="FILE", help="Write this code's schedule to a file, or - (stdout).")
@click.option(
    "--acknowledge",
    metavar="DIGEST|FILE",
    help="Exit with 0 if this is the plan's digest, or a line of this file is.",
)
@click.option("--from", "start", type=MOMENT, help="Slots from this time (ISO 8601); default: now.")
@click.option(
    "--days",
    type=click.IntRange(1, DAYS_MOST),
    default=DAYS,
    show_default=True,
    help="Slots of this many days.",
)
@click.option(
    "--per-second",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="More firings due in one second are a pile-up.",
)
@click.option(
    "--per-minute",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="More firings due in one minute are a pile-up.",
)
@click.option("--instead-of", nargs=2, hidden=True, help="Refuse modules of this folder.")
@json_option
def plan_command(
    since: str | None,
    save: str | None,
    acknowledge: str | None,
    start: datetime | None,
    days: int,
    per_second: int,
    per_minute: int,
    instead_of: tuple[str, str] | None,
    as_json: bool,
) -> None:
    """Show what a deploy of this code does to the entries in Redis: added, changed, pruned, left.

    With --since, show which slots a change of beat_schedule makes appear, vanish or move, compared
    with a git revision or with a file that --save wrote; that needs no Redis. It exits with status
    1 unless nothing changes or the change is acknowledged by its digest.
    """
    if since is not None and save is not None:
        raise click.UsageError("give either --since or --save")
    if since is None and save is None:
        _deploy(acknowledge, as_json)
        return
    now_ms = to_ms("from", datetime.now(UTC) if start is None else start) // MINUTE_MS * MINUTE_MS
    after = _own_schedule(instead_of)
    if save is not None:
        _save(after, save)
        return
    before = _before(str(since))
    window = Window(now_ms, now_ms + timedelta(days=days) // timedelta(milliseconds=1))
    plan = compare_schedules(
        before, after, window, most_per_second=per_second, most_per_minute=per_minute
    )
    acknowledged = plan.changed and acknowledge is not None and _has(acknowledge, plan.digest)
    if as_json:
        say_json(plan_json(plan, acknowledged))
    else:
        for line, colour in [
            *plan_lines(plan),
            *_verdict(plan, acknowledge, acknowledged),
        ]:
            say(line, colour)
    if not plan.changed or acknowledged:
        return
    if not as_json:
        _say_how(f"plan --since {quoted(printable(str(since)))} --acknowledge {plan.digest}")
    bad()


def _deploy(acknowledge: str | None, as_json: bool) -> None:
    """The plan against the entries in Redis."""
    read = _readable_schedule()
    with Client(client_app(), long_timeout=LONG_TIMEOUT_S) as client:
        plan = client._plan(read.declared.entries, read.declared.broken)
        redis = client.redis
    acknowledged = plan.changed and acknowledge is not None and _has(acknowledge, plan.digest)
    if as_json:
        say_json(deploy_json(plan, acknowledged))
    else:
        for line, colour in (
            *deploy_lines(plan, redis),
            *_verdict(plan, acknowledge, acknowledged),
        ):
            say(line, colour)
    if not plan.changed or acknowledged:
        return
    if not as_json:
        _say_how(f"plan --acknowledge {plan.digest}")
    bad()


def _say_how(words: str) -> None:
    """How to acknowledge the change: a command on a line of its own, to be copied whole."""
    say("to acknowledge this change:", "yellow")
    say_whole(suggested(words))


def _own_schedule(instead_of: tuple[str, str] | None) -> SavedSchedule:
    read = read_offline(client_app())
    if instead_of and (name := mixed_in(*(Path(os.path.realpath(each)) for each in instead_of))):
        raise ScheduleUnreadable(
            f"the module {name} is imported from the working tree and not from the revision"
        )
    _check_readable(read)
    return SavedSchedule.of(read.declared.entries, read.declared.broken, _unknown(read))


def _readable_schedule() -> OfflineSchedule:
    read = read_offline(client_app(), with_defaults=True)
    _check_readable(read)
    return read


def _check_readable(read: OfflineSchedule) -> None:
    for part in ("imports", "settings", "beat_schedule"):
        if part in read.problems:
            raise ScheduleUnreadable(
                f"this code's schedule cannot be read: {part}: {read.problems[part]}"
            )


def _unknown(read: OfflineSchedule) -> dict[str, str]:
    known = read.known
    if known is None:
        return {}
    entries = read.declared.entries.items()
    return {name: each.task_name for name, each in entries if not known.has(each.task_name)}


def _save(schedule: SavedSchedule, file: str) -> None:
    if file == "-":
        click.echo(schedule.to_text(), nl=False)
        return
    try:
        Path(file).write_text(schedule.to_text())
    except OSError as error:
        raise click.UsageError(f"cannot write {file}: {error.strerror}") from error


def _before(since: str) -> SavedSchedule:
    """The schedule of a file, if there is one of this name, or of a git revision."""
    path = Path(since)
    if not path.is_file():
        return schedule_at(since, celery_options(sys.argv[1:]))
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValidationError("file", since, f"a file of at most {MOST_BYTES} bytes")
        return SavedSchedule.from_text(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"cannot read {since}: {error}") from error


def celery_options(argv: Sequence[str]) -> list[str]:
    """Celery's own options on a command line, without the folder that it has changed to already."""
    found: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "habeat":
            break
        if word == "--workdir":
            next(words, None)
        elif not word.startswith("--workdir="):
            found.append(word)
    return found


def _has(acknowledge: str, digest: str) -> bool:
    """Whether a digest is the given one, or a line of the given file; text after it is a remark."""
    path = Path(acknowledge)
    if not path.is_file():
        return acknowledge.strip().lower() == digest
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"cannot read {acknowledge}: {error}") from error
    return any(line.split()[:1] == [digest] for line in lines)


def _verdict(
    plan: ChangePlan | DeployPlan, given: str | None, acknowledged: bool
) -> Iterator[tuple[str, str]]:
    if not plan.changed:
        return
    yield "", ""
    if acknowledged:
        yield f"acknowledged: {plan.digest}", "green"
        return
    if given is not None:
        yield f"{given} acknowledges another change", "red"
    yield f"digest: {plan.digest}", ""
