"""Workloads that others have published, from their definitions: what they start from, what they
must come to, and the peers' parts in them.

`suite`: ecs_bench_suite, of Rust libraries; `parts`: its components in Populace. `frames`: the
seven frames of the microecs comparison, of Python libraries. `models`: of the comparisons of
agent-based modelling frameworks. Each `*_runs` has the workloads of one peer, which its module in
`bench.peers` takes over; `mesa_models` the classes that Mesa runs.
"""
