"""Fill the figures of comparison.md from benchmarks.md, so that no figure is typed in.

``make bench ARGS="--write-docs"`` does so, and ``python docs/concepts/comparison.py --write``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).with_suffix(".md")
BENCHMARKS = PAGE.parent.parent / "evidence" / "benchmarks.md"
BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n\n).*?(\n\n<!-- /figures -->)", re.DOTALL)

THREE = ("habeat", "redbeat", "celery")
FOUR = ("habeat", "redbeat", "django-celery-beat", "celery")
HEAD = "| | habeat | RedBeat | django-celery-beat | Celery's own |\n|---|---:|---:|---:|---:|"
CUT_OFF = "more than 40 s"
UNKNOWN = "not measured"
ALWAYS = "until someone restarts it"


def filled(page: str) -> str:
    """The page with the present figures in its blocks."""
    texts = {"speed": speed, "reasons": reasons, "ahead": ahead, "kills": kills, "memory": memory}
    return BLOCK.sub(lambda found: found[1] + texts[found[2]]() + found[3], page)


def rows_of(table: str, titled: str) -> Iterator[tuple[str, list[str]]]:
    """The first cell and the others of each row of a table of the benchmarks."""
    block = BENCHMARKS.read_text().partition(f"<!-- bench:{table} -->")[2]
    titles = re.split(r"^(\*\*.*\*\*)$", block.partition("<!-- /bench")[0], flags=re.MULTILINE)
    body = next(
        body for title, body in zip(titles[1::2], titles[2::2], strict=True) if titled in title
    )
    for line in body.splitlines():
        if line.startswith("| "):
            name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            yield re.sub(r" \(.* after 40 s\)", "", name), cells


def figures(table: str, titled: str) -> dict[str, list[str]]:
    """The rows of a table of the benchmarks by contender, without remarks in parentheses."""
    return dict(rows_of(table, titled))


def starts() -> dict[tuple[str, str], list[str]]:
    """The rows of the table of starts by contender and number of entries."""
    rows = rows_of("startup", "Start to first message")
    return {(name, count): cells for name, (count, *cells) in rows}


def speed() -> str:
    """The table of speeds."""
    small, burst = figures("burst", "1,000 entries"), figures("burst", "10,000 entries")
    few, grid = figures("grid", "100 entries"), figures("grid", "1,000 entries")
    start, changes = starts(), figures("changes", "1,000 entries")

    def of_three(values: dict[str, str]) -> list[str]:
        return [values["habeat"], values["redbeat"], UNKNOWN, values["celery"]]

    def last(name: str) -> str:
        return CUT_OFF if burst[name][3] == "-" else burst[name][3]

    rows = {
        "1,000 entries due at once, messages a second": [small[name][0] for name in FOUR],
        "10,000 entries due at once, messages a second": [burst[name][0] for name in FOUR],
        "the same, from due to the last message": [last(name) for name in FOUR],
        "1,000 entries of 1 s, fired within a minute": of_three({n: grid[n][0] for n in THREE}),
        "100 entries of 1 s, slip on the grid, p99": of_three(
            {name: f"{few[name][2]} ms" for name in THREE}
        ),
        "a second start with 10,000 entries, to the first message": of_three(
            {name: f"{start[name, '10,000'][2]} s" for name in THREE}
        ),
        "from an edit to the message": [
            f"{changes['habeat (add)'][2]} ms",
            f"{changes['redbeat, save'][2]} ms",
            UNKNOWN,
            "–",
        ],
    }
    return "\n".join([HEAD, *(f"| {name} | {' | '.join(row)} |" for name, row in rows.items())])


def reasons() -> str:
    """What a burst costs if Celery builds the messages."""
    rate = figures("burst", "10,000 entries")["habeat (publish signals)"][0]
    return (
        "Where code of yours has to see each message, for example a tracing library, Celery builds "
        f"them,\nand a burst of 10,000 leaves at {rate} messages a second."
    )


def ahead() -> str:
    """Where others are faster or ask for less."""
    start = starts()
    idle = {(cells[1], name): cells[2] for name, cells in rows_of("idle", "Idle")}
    return (
        "**Where others are ahead.** Celery's own beat asks Redis nothing while it is idle, and "
        f"starts 100,000 entries\nin {start['celery', '100,000'][0]} s the first time, habeat in "
        f"{start['habeat', '100,000'][0]} s. A RedBeat standby sends {idle['standby', 'redbeat']} "
        f"requests a\nsecond, a standby of habeat {idle['standby', 'habeat']}: that is the price "
        "of noticing a crash quickly."
    )


def kills() -> str:
    """The table of times without a leader."""
    found = figures("takeover", "signals")
    signals = ("after SIGTERM, median", 0), ("after SIGKILL, median", 2)
    lines = ["| | habeat | RedBeat | the others |", "|---|---:|---:|---|"]
    for title, at in (*signals, ("after SIGKILL, longest of ten", 3)):
        lines.append(
            f"| {title} | {found['habeat'][at]} ms | {found['redbeat'][at]} ms | {ALWAYS} |"
        )
    return "\n".join(lines)


def memory() -> str:
    """What an entry and a leader take."""
    entry, leader = figures("memory", "idle entry"), figures("memory", "RSS of the leader")
    habeat, redbeat, celery = (leader[f"{name}, declared"][2] for name in THREE)
    return (
        f"An idle entry takes {entry['10,000'][0]} bytes of Redis at 10,000 entries. A leader "
        f"takes {habeat} MiB with 10,000 entries in\n`beat_schedule`, RedBeat {redbeat} MiB, "
        f"Celery's own beat {celery} MiB. With entries made through the Client, habeat's\nleader "
        f"stays at {leader['habeat (through the Client)'][2]} MiB, because it keeps none of them "
        "in memory."
    )


def write() -> None:
    """Put the present figures into the page."""
    PAGE.write_text(filled(PAGE.read_text()))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        print(filled(PAGE.read_text()))
