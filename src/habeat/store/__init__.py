"""The schedule in Redis: connections, keys and scripts, behind the ports."""
