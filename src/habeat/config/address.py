"""An address to listen at, as a user writes it: ``127.0.0.1:9191``, ``[::1]:9191``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address and a port; with port 0, the system chooses one."""

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only this host can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parsed_address(written: str) -> Address | None:
    """The address that `written` stands for; None if it is not one.

    A host name is not accepted, except localhost: what it resolves to decides who can connect.
    """
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:\[\]]+)):([0-9]{1,5})", written)
    if found is None or int(found[3]) > 65_535:
        return None
    host = "127.0.0.1" if found[2] == "localhost" else found[1] or found[2]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    return Address(host, int(found[3]))
