"""The devices of backup, restore and YAML."""

from __future__ import annotations

from tests.verification.mutations.device import BACKUP, YAML_FORM, Device

_RESTORING = "client/restoring.py"

ALL = [
    Device(
        "restore: starts now",
        "A restored entry does not send again what it sent since the backup",
        _RESTORING,
        "        continues = self._terms.resume_positions and 0 < saved",
        "        continues = True and 0 < saved",
        BACKUP,
    ),
    Device(
        "restore: a state that is here",
        "A cursor that is still in Redis is never moved back",
        _RESTORING,
        "        if here_ms:\n",
        "        if False:\n",
        BACKUP,
    ),
    Device(
        "restore: no position of the future",
        "A position that is later than now would silence the entry",
        _RESTORING,
        "0 < saved.state.cursor_ms <= now_ms",
        "0 < saved.state.cursor_ms",
        BACKUP,
    ),
    Device(
        "restore: entries that are here",
        "Without --replace, an entry that is here is left",
        _RESTORING,
        '        if here.owner == "api" and self._terms.replace:\n',
        '        if here.owner == "api":\n',
        BACKUP,
    ),
    Device(
        "restore: generations",
        "A definition in the code takes precedence over a restored one",
        _RESTORING,
        "entry = replace(wanted, generation=0, state=",
        "entry = replace(wanted, state=",
        BACKUP,
    ),
    Device(
        "restore: undone first",
        "What undoes a restore is stored before anything is written",
        _RESTORING,
        "    keep_undo(_undo(calls, steps, controls))\n",
        "",
        BACKUP,
    ),
    Device(
        "restore: undoing removes what it added",
        "Undoing removes nothing that someone has changed since",
        _RESTORING,
        "        if stored.digest != self._backup.remove[stored.name]:\n",
        "        if False:\n",
        BACKUP,
    ),
    Device(
        "backup: whole or not at all",
        "Only the owner of a backup can read it",
        "cli/backing_up.py",
        "            with os.fdopen(handle",
        "            os.chmod(name, 0o644)\n            with os.fdopen(handle",
        BACKUP,
    ),
    Device(
        "yaml: depth",
        "A document that is nested too deep is refused",
        "cli/yaml_form.py",
        "        if depth > DEPTH_MAX:\n",
        "        if False:\n",
        YAML_FORM,
    ),
    Device(
        "yaml: tags",
        "A document makes no objects",
        "cli/yaml_form.py",
        '        if event.tag not in (None, "!", _TEXT):\n',
        "        if False:\n",
        YAML_FORM,
    ),
    Device(
        "yaml: quotes",
        "A text that looks like something else stays a text",
        "cli/yaml_form.py",
        "        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS\n",
        "        plain = _PLAIN.fullmatch(value)\n",
        YAML_FORM,
    ),
]
