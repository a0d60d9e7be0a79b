"""The schedule's home in Redis: connections, keys, codec and scripts."""
