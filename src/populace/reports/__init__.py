"""The report of a run: one HTML file that opens anywhere, without a network.

`write_report` reads a run directory (`rundirectory.py`, `ending.py`), lets each subject say what it
found (`living.py`, `forgetting.py`, `bonds.py`, ...), and puts it on a page (`page.py`).
"""
