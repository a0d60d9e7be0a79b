"""The devices of the change log: a record for each change, and nothing secret in it."""

from __future__ import annotations

from tests.verification.mutations.device import CHANGE_LOG, DIFFERING, SCRIPTS, Device


def in_script(script: str, name: str, protects: str, old: str, new: str) -> Device:
    """A device in a script."""
    return Device(name, protects, f"{SCRIPTS}/{script}.lua", old, new, CHANGE_LOG)


ALL = [
    in_script(
        "write",
        "write: logged",
        "Each change of an entry has a record",
        "    log_change(name, act, digest, after, bound_at + 2, i + 1)\n",
        "",
    ),
    in_script(
        "write",
        "write: only changes are logged",
        "A write that only moves the cursor leaves no record of a change",
        "  return is_written and 'changed' or nil\n",
        "  return 'changed'\n",
    ),
    in_script(
        "remove",
        "remove: logged",
        "Each removal has a record",
        "  log_change(ARGV[at], 'removed', ARGV[at + 1], '', FIRST + total * FIELDS, i + 1)\n",
        "",
    ),
    in_script(
        "rename",
        "rename: logged",
        "A rename has a record under the new name",
        "log_change(new, 'renamed', ARGV[4], after, author_at, 1)\n",
        "",
    ),
    in_script(
        "adopt",
        "adopt: logged",
        "An entry that comes from another prefix has a record",
        "  log_change(ARGV[at], 'added', '', digest, FIRST + total * FIELDS, i + 1)\n",
        "",
    ),
    in_script(
        "changes",
        "changes: foreign key",
        "A foreign key in place of the log does not prevent a change",
        "  set_foreign_aside(CHANGES, 'stream')\n",
        "",
    ),
    in_script(
        "sweep",
        "sweep: the change log's age",
        "The change log keeps no records beyond its age",
        "redis.call('XTRIM', BASE .. 'changes', 'MINID', '=', int(NOW - tonumber(ARGV[5])))\n",
        "",
    ),
    Device(
        "differing: arguments",
        "The change log has no arguments",
        "entries/differing.py",
        "    if field.name in _SECRET:\n",
        "    if False:\n",
        DIFFERING,
    ),
    Device(
        "differing: options",
        "The change log has no headers and no callbacks",
        "entries/differing.py",
        "            plain = name in _PLAIN_OPTIONS and all(map(is_scalar, pair))\n",
        "            plain = True\n",
        DIFFERING,
    ),
    Device(
        "differing: bounded",
        "A record of the change log is bounded",
        "entries/record_values.py",
        "RECORD_BYTES_MAX = 4_096",
        "RECORD_BYTES_MAX = 10**9",
        DIFFERING,
    ),
    Device(
        "changes: before the tag",
        "A tenant sees nothing of an entry from before it was theirs",
        "client/change_records.py",
        "            if len(found) == limit or (scope.tag and _begins(found[-1], scope)):\n",
        "            if len(found) == limit:\n",
        CHANGE_LOG,
    ),
    Device(
        "changes: names of others",
        "A rename shows a tenant no name of another's entry",
        "client/change_records.py",
        "    if scope == Scope() or names is None:\n",
        "    if True:\n",
        CHANGE_LOG,
    ),
    Device(
        "author: printable",
        "The name of who changed an entry is bounded and printable",
        "client/author.py",
        "    return printable(by, BY_CHARS_MAX)\n",
        "    return by\n",
        CHANGE_LOG,
    ),
]
