"""Refuse settings that would have no effect: unknown names, and names in the wrong case.

Celery keeps any setting and ignores the ones it does not know. A setting that is silently ignored
is worse than none, so a `habeat_*` name that cannot take effect is refused.

Which names Celery reads depends on how the configuration was made:

- without a namespace, only the lower-case name; `HABEAT_LEASE_TTL` is kept and never read;
- with `namespace="CELERY"`, both `CELERY_HABEAT_LEASE_TTL` and the lower-case name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Protocol

from habeat.config.setting import PREFIX
from habeat.config.table import BY_NAME
from habeat.errors import SettingsError


class Conf(Protocol):
    """The part of `app.conf` that is used here; a dict has it too."""

    def get(self, key: str, default: Any = None, /) -> Any: ...

    def keys(self) -> Iterable[Any]: ...


def check_names(conf: Conf) -> None:
    """Raise SettingsError for the first `habeat_*` name that would have no effect."""
    keys = [key for key in conf.keys() if isinstance(key, str)]  # noqa: SIM118
    # Celery sets its namespace when it loads the configuration, which listing the keys triggers.
    namespace = getattr(conf, "prefix", None) or ""
    for key in sorted(keys):
        name = _bare(key, namespace)
        if name is not None:
            _check(conf, key, name, namespace)


def _check(conf: Conf, key: str, name: str, namespace: str) -> None:
    if name not in BY_NAME:
        raise SettingsError(key, f"unknown setting {key}{_did_you_mean(name, namespace)}")
    if key in (name, _spelled(name, namespace)):
        return
    # The setting itself is set as well and takes effect; this key is the user's own variable.
    if conf.get(name) is not None:
        return
    right = _spelled(name, namespace)
    raise SettingsError(key, f"Celery does not read {key} in this spelling: write {right}")


def _bare(key: str, namespace: str) -> str | None:
    """The `habeat_*` name that a key means; None if the key is not habeat's."""
    lower = key.lower()
    for prefix in ("", namespace.lower(), "celery_"):
        if lower.startswith(prefix + PREFIX):
            return lower.removeprefix(prefix)
    return None


def _spelled(name: str, namespace: str) -> str:
    """The name as written in a configuration with this namespace ("" for none)."""
    full = namespace + name
    return full.upper() if namespace.isupper() else full


def _did_you_mean(name: str, namespace: str) -> str:
    given = name.removeprefix(PREFIX)
    bare_names = [known.removeprefix(PREFIX) for known in BY_NAME]
    # Words left out are likelier than another word that looks alike: lease_ttl for ttl, not http.
    near = [known for known in bare_names if set(given.split("_")) <= set(known.split("_"))]
    near = near or difflib.get_close_matches(given, bare_names, n=1, cutoff=0.5)
    if near:
        return f" (did you mean {_spelled(PREFIX + near[0], namespace)}?)"
    return ": expected one of " + ", ".join(BY_NAME)
