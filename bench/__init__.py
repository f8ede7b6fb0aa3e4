"""Benchmarks: what a server costs per invocation and per step, beside the server it is compatible with.

`python -m bench` compares both servers in the same run; `bench.restart`, `bench.long_journal` and
`bench.memory` measure one law each. CPU is user plus system time of the whole process, because on a shared
machine rates say more about the neighbours than about the server. `bench.micro_engine`,
`bench.micro_http2` and `bench.micro_protocol` run parts of the server alone, to judge one change at a time.
"""
