"""A definition as text, as an object, and as a change: what the store keeps of an entry.

`client` and `beat` both use it: a change to an entry is planned by the same rules, wherever it
comes from.
"""
