"""Settings that nobody would read: misspelled names, and names in the wrong spelling.

Celery keeps whatever it is given and ignores what it does not know. A setting that is
ignored in silence is worse than none, so a `habeat_*` name that cannot take effect is refused.

What Celery reads depends on how the configuration was made:

- without a namespace the lower-case name alone; `HABEAT_LEASE_TTL` is kept and never read;
- with `namespace="CELERY"` both `CELERY_HABEAT_LEASE_TTL` and the lower-case name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Protocol

from habeat.config.setting import PREFIX
from habeat.config.table import BY_NAME
from habeat.errors import SettingsError


class Conf(Protocol):
    """What is needed of `app.conf`; a dict will do as well."""

    def get(self, key: str, default: Any = None, /) -> Any: ...

    def keys(self) -> Iterable[Any]: ...


def check_names(conf: Conf) -> None:
    """Raise SettingsError for the first name under habeat's prefix that is not read."""
    keys = [key for key in conf.keys() if isinstance(key, str)]  # noqa: SIM118
    # Celery knows its namespace only once it has loaded; listing the keys has made it load.
    namespace = getattr(conf, "prefix", None) or ""
    for key in sorted(keys):
        name = _bare(key, namespace)
        if name is not None:
            _check(conf, key, name, namespace)


def _check(conf: Conf, key: str, name: str, namespace: str) -> None:
    if name not in BY_NAME:
        raise SettingsError(key, f"there is no setting {key}{_did_you_mean(name, namespace)}")
    if key in (name, _spelled(name, namespace)):
        return
    # A variable of the user's own beside the setting itself, which is what takes effect.
    if conf.get(name) is not None:
        return
    right = _spelled(name, namespace)
    raise SettingsError(key, f"{key} is not read by Celery in this spelling: write {right}")


def _bare(key: str, namespace: str) -> str | None:
    """The `habeat_*` name that was meant by a key; None if the key is none of ours."""
    lower = key.lower()
    for prefix in ("", namespace.lower(), "celery_"):
        if lower.startswith(prefix + PREFIX):
            return lower.removeprefix(prefix)
    return None


def _spelled(name: str, namespace: str) -> str:
    """The name as it is written in a configuration with this namespace ("" for none)."""
    full = namespace + name
    return full.upper() if namespace.isupper() else full


def _did_you_mean(name: str, namespace: str) -> str:
    bare_names = [known.removeprefix(PREFIX) for known in BY_NAME]
    near = difflib.get_close_matches(name.removeprefix(PREFIX), bare_names, n=1, cutoff=0.5)
    if near:
        return f": did you mean {_spelled(PREFIX + near[0], namespace)}?"
    return "; the settings that exist are " + ", ".join(BY_NAME)
