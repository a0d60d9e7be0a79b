"""The devices that keep one stored value from reaching another, or a reader from failing."""

from __future__ import annotations

from tests.mutations.device import MENDING, READING, SCRIPTS, Device

_CODEC = "store/codec.py"

ALL = [
    Device(
        "postpone: fence",
        "Only the leader puts the end of a pause off",
        f"{SCRIPTS}/postpone.lua",
        "if not holds(ARGV[1], ARGV[2]) then",
        "if false then",
        MENDING,
    ),
    Device(
        "postpone: there is a pause",
        "What is not paused is not looked at again and again",
        f"{SCRIPTS}/postpone.lua",
        "ARGV[4] == '' or redis.call('HEXISTS', PAUSED, ARGV[3]) == 0",
        "false",
        MENDING,
    ),
    Device(
        "stored: any exception",
        "A definition that cannot be read is its entry's own trouble",
        _CODEC,
        "    except Exception as why:  # whatever it is, it is this entry's own trouble\n",
        "    except (HabeatError, KeyError, TypeError, ValueError) as why:\n",
        READING,
    ),
    Device(
        "stored: shapes",
        "A field of a wrong type is found when a definition is read",
        _CODEC,
        "        shapes.check(data, shapes.DEFINITION)\n",
        "",
        READING,
    ),
    Device(
        "stored: shapes of requests",
        "A backfill without a sane pace is not carried out",
        _CODEC,
        "        shapes.check(data, shapes.REQUEST)\n",
        "",
        READING,
    ),
    Device(
        "stored: arguments come back",
        "What could not be read again is refused at the call",
        _CODEC,
        "            _check_storable(name, value, entry.name)\n",
        "            pass\n",
        READING,
    ),
    Device(
        "stored: bytes of names",
        "An entry whose name is not UTF-8 can be acted on",
        "store/calling.py",
        'raw.decode("utf-8", "surrogateescape")',
        'raw.decode("utf-8", "backslashreplace")',
        READING,
    ),
    Device(
        "stored: states of any length",
        "A cursor of 5,000 digits quarantines its entry and no more",
        _CODEC,
        "(-?[0-9]{1,15})\\|(-?[0-9]{1,15}|)",
        "(-?[0-9]+)\\|(-?[0-9]{1,15}|)",
        READING,
    ),
]
