"""habeat's schedules beside other people's: cronsim, Celery's crontab and dateutil.

Random expressions, 30 zones, the years 2024 to 2030 and the week in which Apia had no Friday. Two
programs that agree are compared slot by slot; where they are known to differ the difference is a
rule with a name, `EXPLAINED` in each module, which predicts what the other one says. A difference
that no rule predicts fails, and so does a rule that explains nothing.

`make test` looks closely at the days around every change of clocks, and at whole years of rules
with few slots. ``HABEAT_ORACLE=full`` takes whole years of everything (about half an hour).
"""
