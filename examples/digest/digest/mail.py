"""The mail provider of this example: a table. Like a real one, it takes an idempotency key."""

import os
import sqlite3
from contextlib import closing

USERS = [f"user-{number}" for number in range(int(os.environ.get("DIGEST_USERS", "20")))]

SCHEMA = """
create table if not exists attempts (id integer primary key, key text);
create table if not exists mails (key text primary key, text text);
"""


def connect():
    connection = sqlite3.connect(os.environ.get("DIGEST_DB", "digest.db"), timeout=10)
    connection.executescript(SCHEMA)
    return closing(connection)


def attempt(key):
    """Record that a mail is being written: only for the test, which counts the attempts."""
    with connect() as db, db:
        db.execute("insert into attempts (key) values (?)", (key,))


def count():
    """How many mails were sent."""
    with connect() as db:
        return db.execute("select count(*) from mails").fetchone()[0]


def send(key, text):
    """Send a mail, unless one with this key was sent before."""
    with connect() as db, db:
        db.execute("insert or ignore into mails (key, text) values (?, ?)", (key, text))
