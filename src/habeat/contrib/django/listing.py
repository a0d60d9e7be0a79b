"""One page of the list: the entries that match, found in bounded time.

A page begins after a name, so the last page of 10,000 entries costs no more than the first. Prefix,
tag and owner are left to the client, which skips other definitions without decoding them. State and
words are compared here, entry by entry. After `LOOKED_US` the page ends where it is, and its link
continues from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from habeat.client import Client, Owner
from habeat.client.guard import Scope
from habeat.client.selection import CONDITIONS, OWNERS
from habeat.clock import SystemClock
from habeat.contrib.django.keys import key_of, name_of
from habeat.core.entry import Entry

#: Entries on a page. A call for this many names changes all of them or none.
PAGE = 50
#: How long a page is looked for.
LOOKED_US = 2_000_000

_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Query:
    """What a page shows: the filters, and the name after which it begins."""

    words: str = ""
    state: str = ""
    owner: str = ""
    tag: str = ""
    after: str = ""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Query:
        """From the parameters of a URL; unknown values are left out."""
        state, owner = given.get("state", ""), given.get("owner", "")
        return cls(
            given.get("q", "").strip(),
            state if state in CONDITIONS else "",
            owner if owner in OWNERS else "",
            given.get("tag", "").strip(),
            name_of(given.get("after", "")),
        )

    @property
    def prefix(self) -> str:
        """The prefix of names, if the words are one: "tenant-7:*"."""
        return self.words[:-1] if self.words.endswith("*") else ""

    @property
    def is_filtered(self) -> bool:
        return bool(self.words or self.state or self.owner or self.tag)

    def url(self, after: str = "") -> str:
        """The query string of this list, from another name on."""
        given = {"q": self.words, "state": self.state, "owner": self.owner, "tag": self.tag}
        given["after"] = key_of(after) if after else ""
        return urlencode({name: value for name, value in given.items() if value})

    def matches(self, entry: Entry) -> bool:
        """Whether the entry has the state and the words."""
        if self.state and entry.condition != self.state:
            return False
        if not self.words or self.words.endswith("*"):
            return True
        texts = (entry.name, entry.task_name, entry.description)
        return any(self.words.casefold() in text.casefold() for text in texts)


@dataclass(slots=True)
class Page:
    """The entries of a page; `continues_after` is None at the end of the list."""

    entries: list[Entry]
    continues_after: str | None = None
    #: How many entries were looked at, if the time was up before the page was full.
    looked_at: int = 0


def sees_all(client: Client) -> bool:
    """Whether this client sees every entry: not if its guard has a scope."""
    return client._calls.guard.scope == Scope()


def page_of(client: Client, query: Query) -> Page:
    """The page of this query."""
    found = client.list(
        prefix=query.prefix,
        tags=[query.tag] if query.tag else (),
        owner=cast(Owner, query.owner) if query.owner else None,
        after=query.after,
    )
    page, ends_us = Page([]), _CLOCK.monotonic_us() + LOOKED_US
    for count, entry in enumerate(found, 1):
        if not query.matches(entry):
            pass
        elif len(page.entries) == PAGE:
            page.continues_after = page.entries[-1].name
            break
        else:
            page.entries.append(entry)
        if _CLOCK.monotonic_us() > ends_us:
            page.continues_after, page.looked_at = entry.name, count
            break
    return page
