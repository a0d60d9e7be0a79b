"""The protocol as a whole: what the simulation must catch, and print the history of."""

from __future__ import annotations

from tests.verification.mutations import in_engine, in_leadership, in_scripts
from tests.verification.mutations.device import Device

#: Names of devices in the other tables, and within how many seeds the simulation sees them gone.
_SEEN = {
    "claim: token": 600,
    "claim: cursor moves": 10,
    "claim: push before claim": 200,
    "settle: intent removed": 10,
    "mark: counts": 50,
    "recover: old trust": 200,
    "recover: restamp never counts": 50,
    "recovery: at all": 20,
    "skip: record": 50,
    "edit: due slots in the ledger": 200,
    "edit: cursor never goes back": 200,
}


def _simulated(device: Device, seeds: int) -> Device:
    suite = f"simulate {seeds}"
    name = f"simulated, {device.name}"
    return Device(name, device.protects, device.file, device.old, device.new, suite)


ALL = [
    _simulated(device, _SEEN[device.name])
    for device in (*in_scripts.ALL, *in_leadership.ALL, *in_engine.ALL)
    if device.name in _SEEN
]
