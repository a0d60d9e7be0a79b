"""The suites of habeat, by what they run on: unit, integration (real servers), and so on."""
