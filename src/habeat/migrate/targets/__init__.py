"""The schedulers that a schedule can go back to: what each can express, and how it is written."""
