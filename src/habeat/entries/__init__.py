"""An entry's definition as stored text, as an object, and as a planned change.

Both `client` and `beat` use this package, so the same rules plan a change wherever it comes from.
"""
