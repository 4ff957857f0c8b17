"""Benchmarks of Populace, each beside a C-speed bound measured in the same run.

`python -m bench` prints the table, `pytest bench --benchmark-only` times the small sizes. Cases are
found in every module here named `cases_*`; `harness.py` says how one is written.
"""
