"""The protocol in Promela, checked exhaustively with spin: see README.md."""
