"""What type checkers see of the public API; `make types` checks it."""
