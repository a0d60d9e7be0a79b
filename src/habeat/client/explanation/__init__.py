"""What happened to one slot of an entry, or what will: `client.explain`.

`gathering` reads what Redis knows about the slot, `which_slot` decides which slot is meant, and
`past` and `coming` draw up the chain of links, without any I/O. `links` has what is returned.
"""
