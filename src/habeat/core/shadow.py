"""A shadow: a beat of habeat that decides everything and sends nothing, beside another beat.

Its state is its own: the key prefix ends differently, and the owner that the first leader writes
under it is another one. So a real run never begins where a shadow's decisions ended, and each of
the two refuses a prefix that belongs to the other, releases without this module included.
"""

from __future__ import annotations

SUFFIX = "-shadow"
_MARK = " (shadow)"


def shadow_prefix(prefix: str) -> str:
    """The key prefix of the shadow of the app whose prefix this is."""
    return prefix + SUFFIX


def owner_of(app_name: str, *, shadow: bool) -> str:
    """The owner of the keys under a prefix: an app, or its shadow."""
    return app_name + _MARK if shadow else app_name


def is_shadow(owner: str) -> bool:
    """Whether the owner of a prefix is a shadow."""
    return owner.endswith(_MARK)


def why_refused(owner: str, own: str) -> str:
    """Why keys that belong to `owner` are not for `own`; "" if that is not about a shadow."""
    if is_shadow(owner) == is_shadow(own):
        return ""
    if is_shadow(owner):
        return (
            f"the keys under this prefix belong to the shadow of {owner.removesuffix(_MARK)!r}, "
            "and a beat that sends needs keys of its own: set habeat_key_prefix to another prefix, "
            f"one that does not end in {SUFFIX}"
        )
    return (
        f"the keys under this prefix belong to {owner!r}, whose beats send, and a shadow needs "
        f"keys of its own: set habeat_key_prefix to the real prefix, and habeat adds {SUFFIX}"
    )
