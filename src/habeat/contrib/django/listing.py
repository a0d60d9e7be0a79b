"""One page of the list: the entries that match, found in bounded time.

By name, a page begins after a name, so the last of 10,000 entries cost no more than the first. Its
URL carries where the pages before it began, as far as `TRAIL`, for the link back. Prefix, tag and
owner are left to the client, which skips other definitions without decoding them. State and words
are compared here, entry by entry. After `LOOKED_US` the page ends where it is, and its link
continues from there.

By another column, all entries that match are read and sorted, and the pages are numbered. That is
bounded by `SORTED` and `LOOKED_US`: if more match, the page is by name, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import urlencode

from django.http import QueryDict

from habeat.client import Client, Owner
from habeat.client.selection import CONDITIONS, OWNERS
from habeat.clock import SystemClock
from habeat.contrib.django.keys import key_of, name_of
from habeat.core.entry import Entry

#: Entries on a page. A call for this many names changes all of them or none.
PAGE = 50
#: How long a page is looked for.
LOOKED_US = 2_000_000
#: At most this many entries are sorted by another column than the name.
SORTED = 2_000
#: A page knows where this many pages before it began.
TRAIL = 10

#: By what a list can be sorted besides the name; entries without a value come last.
ORDERS: Mapping[str, Callable[[Entry], Any]] = {
    "task": lambda entry: entry.task_name,
    "state": lambda entry: entry.condition,
    "last": lambda entry: entry.state.last_fired,
    "next": lambda entry: entry.state.next_due,
    "runs": lambda entry: entry.state.fired,
    "owner": lambda entry: entry.owner,
}

_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Query:
    """What a page shows: the filters, the order, and where in it the page begins.

    `order` is a key of `ORDERS`, with "-" before it for the reverse; "" is by name. Then the page
    begins after the name `after`, and those before it after each of `trail`. Else it is `number`.
    """

    words: str = ""
    state: str = ""
    owner: str = ""
    tag: str = ""
    order: str = ""
    after: str = ""
    trail: tuple[str, ...] = ()
    number: int = 1

    @classmethod
    def of(cls, given: QueryDict) -> Query:
        """From the parameters of a URL; unknown values are left out."""
        state, owner, order = (given.get(name, "") for name in ("state", "owner", "o"))
        number = given.get("p", "")
        return cls(
            words=given.get("q", "").strip(),
            state=state if state in CONDITIONS else "",
            owner=owner if owner in OWNERS else "",
            tag=given.get("tag", "").strip(),
            order=order if order.removeprefix("-") in ORDERS else "",
            after=name_of(given.get("after", "")),
            trail=tuple(map(name_of, given.getlist("via")))[-TRAIL:],
            number=int(number) if re.fullmatch(r"[1-9][0-9]{0,4}", number) else 1,
        )

    @property
    def prefix(self) -> str:
        """The prefix of names, if the words are one: "tenant-7:*"."""
        return self.words[:-1] if self.words.endswith("*") else ""

    @property
    def is_filtered(self) -> bool:
        return bool(self.words or self.state or self.owner or self.tag)

    @property
    def url(self) -> str:
        """The query string of this page."""
        given = {"q": self.words, "state": self.state, "owner": self.owner, "tag": self.tag}
        given |= {"o": self.order, "after": key_of(self.after) if self.after else ""}
        given["p"] = str(self.number) if self.number > 1 else ""
        found = [(name, value) for name, value in given.items() if value]
        return urlencode(found + [("via", key_of(name) if name else "") for name in self.trail])

    @property
    def first(self) -> Query:
        """The first page of this list."""
        return replace(self, after="", trail=(), number=1)

    def by(self, order: str) -> Query:
        """The first page in another order; in the reverse of it if it is this one."""
        return replace(self.first, order=f"-{order}" if order == self.order else order)

    def next(self, page: Page) -> Query | None:
        """The page after this one, which is `page`; None at the end of the list."""
        if page.continues_after is not None:
            trail = (*self.trail, self.after)[-TRAIL:]
            return replace(self, after=page.continues_after, trail=trail)
        return replace(self, number=self.number + 1) if page.has_more else None

    @property
    def previous(self) -> Query | None:
        """The page before this one; None if it is the first, or if that is not known any more."""
        if self.trail:
            return replace(self, after=self.trail[-1], trail=self.trail[:-1])
        return replace(self, number=self.number - 1) if self.number > 1 else None

    def matches(self, entry: Entry) -> bool:
        """Whether the entry has the state and the words."""
        if self.state and entry.condition != self.state:
            return False
        if not self.words or self.words.endswith("*"):
            return True
        texts = (entry.name, entry.task_name, entry.description)
        return any(self.words.casefold() in text.casefold() for text in texts)

    def sorted(self, entries: list[Entry]) -> list[Entry]:
        """The entries in this order; those that are equal in it by name."""
        value = ORDERS[self.order.removeprefix("-")]
        known = [entry for entry in entries if value(entry) is not None]
        known.sort(key=value, reverse=self.order.startswith("-"))
        return known + [entry for entry in entries if value(entry) is None]


@dataclass(slots=True)
class Page:
    """The entries of a page; `continues_after` is None at the end of the list."""

    entries: list[Entry]
    continues_after: str | None = None
    #: Whether a page follows in a list that is not by name.
    has_more: bool = False
    #: How many entries were looked at, if the time was up before the page was full.
    looked_at: int = 0


def page_of(client: Client, query: Query) -> Page | None:
    """The page of this query; None if too many entries match to sort them."""
    if not query.order:
        return _page_by_name(client, query)
    found, ends_us = [], _CLOCK.monotonic_us() + LOOKED_US
    for entry in _listed(client, query):
        if query.matches(entry):
            found.append(entry)
        if len(found) > SORTED or _CLOCK.monotonic_us() > ends_us:
            return None
    begin = (query.number - 1) * PAGE
    shown = query.sorted(found)[begin : begin + PAGE]
    return Page(shown, has_more=len(found) > begin + PAGE)


def _page_by_name(client: Client, query: Query) -> Page:
    page, ends_us = Page([]), _CLOCK.monotonic_us() + LOOKED_US
    for count, entry in enumerate(_listed(client, query), 1):
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


def _listed(client: Client, query: Query) -> Iterator[Entry]:
    return client.list(
        prefix=query.prefix,
        tags=[query.tag] if query.tag else (),
        owner=cast(Owner, query.owner) if query.owner else None,
        after=query.after,
    )
