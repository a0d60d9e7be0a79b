"""An entry's name as part of a URL and as a value in a form, and back.

A name may contain anything: slashes, control characters, bytes that are not UTF-8. Most are quoted
as the admin quotes primary keys, so that its own links (in the log of changes) lead to the entry.
"""

from __future__ import annotations

from django.contrib.admin.utils import quote, unquote

#: `quote` writes "_" as "_5F", so no quoted name begins with this.
_HEX = "_x"


def key_of(name: str) -> str:
    """The key of this name: printable ASCII, or what the admin leaves as it is."""
    if is_plain(name):
        return str(quote(name))
    return _HEX + name.encode("utf-8", "surrogateescape").hex()


def name_of(key: str) -> str:
    """The name with this key."""
    if key.startswith(_HEX):
        try:
            return bytes.fromhex(key[len(_HEX) :]).decode("utf-8", "surrogateescape")
        except ValueError:
            pass  # not one of our keys: it leads to no entry
    return str(unquote(key))


def is_plain(name: str) -> bool:
    """Whether the admin's quoting is enough: it leaves "..", which browsers resolve."""
    return name.isprintable() and bool(name.strip("."))
