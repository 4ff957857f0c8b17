"""Why peers are faster, where several cases have the same reason."""

from __future__ import annotations

FAST_MATH = (
    "-ffast-math takes reciprocals for quotients and adds in any order, so a result depends on the "
    "width of the vectors and on the row; laws give the same bits everywhere"
)

CALL = (
    "a call from Python costs 1 to 5 µs beyond its loop, for columns to be found and noted as "
    "written; a call of C++ or numpy 0.4"
)

TABLE_BY_TABLE = (
    "numpy is called once for each of 26 tables, and each is found and noted as written; a row "
    "kernel takes all in one call"
)
