"""Reminders: each is a row in the database and an entry of the schedule."""
