"""A soak: thousands of entries, three real beats, a fault a minute, and everything accounted for.

    python -m tests.system.soak --minutes 60 --seed 7 --report soak.md

- `lives`: which slots each entry has, from what the test itself asked for.
- `accounts`: those slots, the ledger's records and the messages held against each other.
- `explaining`: which fault may have made a message come twice.
- `scraping`: what is read each second. `minutes`: what a minute looked like, and what grows.
- `arena`, `ways`: the servers, the beats, and what lies between. `edits`, `faults`: what is done
  to them.
- `calm`: what must stay silent in a run without faults (`--calm`).
- `report`: the figures, as Markdown and JSON. `__main__`: one run.
"""
