"""The orders, in SQLite so that the example needs no other server."""

import os
import sqlite3
import time
from contextlib import closing

SCHEMA = """
create table if not exists orders (
    id integer primary key, state text not null, created real not null, attempts integer default 0
);
create table if not exists items (
    order_id integer, name text, reserved integer default 0, unique (order_id, name)
);
"""


def connect():
    connection = sqlite3.connect(os.environ.get("ORDERS_DB", "orders.db"), timeout=10)
    connection.executescript(SCHEMA)
    return closing(connection)


def create(items, created=None):
    with connect() as db, db:
        added = db.execute(
            "insert into orders (state, created) values ('new', ?)", (created or time.time(),)
        )
        rows = [(added.lastrowid, name) for name in items]
        db.executemany("insert into items (order_id, name) values (?, ?)", rows)
        return added.lastrowid


def show(order_id):
    with connect() as db:
        order = db.execute(
            "select state, attempts from orders where id = ?", (order_id,)
        ).fetchone()
        if order is None:
            return None
        rows = db.execute("select name, reserved from items where order_id = ?", (order_id,))
        return {"id": order_id, "state": order[0], "attempts": order[1], "items": dict(rows)}


def set_state(order_id, state):
    with connect() as db, db:
        db.execute("update orders set state = ? where id = ?", (state, order_id))


def count_attempt(order_id):
    with connect() as db, db:
        db.execute("update orders set attempts = attempts + 1 where id = ?", (order_id,))
        return db.execute("select attempts from orders where id = ?", (order_id,)).fetchone()[0]


def reserve(order_id, name):
    with connect() as db, db:
        db.execute(
            "update items set reserved = 1 where order_id = ? and name = ?", (order_id, name)
        )


def delete_stale(before):
    """Delete orders that never got anywhere; returns how many."""
    with connect() as db, db:
        stale = "select id from orders where state = 'new' and created < ?"
        db.execute(f"delete from items where order_id in ({stale})", (before,))
        done = db.execute("delete from orders where state = 'new' and created < ?", (before,))
        return done.rowcount
