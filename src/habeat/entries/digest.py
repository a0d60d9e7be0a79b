"""The digest of a stored value, by which scripts compare it. Apart from the codec: it is quick."""

from __future__ import annotations

import hashlib


def digest_of(stored: bytes) -> str:
    """The digest by which scripts compare stored definitions."""
    return hashlib.sha1(stored, usedforsecurity=False).hexdigest()
