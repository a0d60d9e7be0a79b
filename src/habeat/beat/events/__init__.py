"""Passes events on to code outside of the loop: receivers of signals, a webhook, and pings."""
