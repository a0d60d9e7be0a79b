"""The public API and the leader behind it, held to a small model by random sequences of calls.

- `slots`: which instants a schedule means, by brute force over naive local time and zoneinfo.
- `rows`, `model`: what the documentation says that each call does. `catching_up`: the model's
  leader. `transfer`: its export and load.
- `reach`, `world`: the shipped Client, engine and Lua over the simulator's model of Redis, on one
  clock.
- `drawing`: random schedules, fields and instants. `comparing`: what is found against the model.
- `machine`, and its rules: `changing`, `asking`, `living`, `scenes`. `test_public_api`: all.

The model shares no code with what it is compared to, `habeat.schedules` least of all.
`HABEAT_EXAMPLES=500` has it run longer than `make test` does, and at random.
"""
