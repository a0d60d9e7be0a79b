"""A morning digest: one orchestrator at 08:00, one subtask for each user."""
