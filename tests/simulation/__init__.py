"""Whole servers and services under one seed.

The engine is the real one: core, partition loops, storage, timers, post, runner and attempts, opened by the
server's own assembly code. What it stands on is not:

    virtual.py    time, and a loop per server process that dies with it
    disk.py       SQLite in memory: a crash keeps what was committed; commits fail, take long, arrive unheard
    server.py     one server over these disks: started, crashed, started again; records watched on their way
    programs.py   what handlers are asked to do
    handler.py    a small SDK: replays a journal and goes on, deterministically
    services.py   deployments: they hang, die, answer late, refuse, lie
    clients.py    callers and operators
    laws.py       what must hold, at every step and at the end
    run.py        one seed from beginning to end
    mutants.py    broken engines, each of which must be caught

`python -m tests.simulation SEED` (`make sim SEED=n`) repeats a seed and tells it; `make storm` runs many.
"""
