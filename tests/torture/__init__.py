"""Real processes, hit at random, and an outsider who checks what they promised.

    services/         the same handlers on our SDK and on the official Python SDK
    effects.py        the effects file, read as it grows
    world.py          a server, two service processes, their one effects file
    clients.py        callers who repeat a request until it is answered, and their book of promises
    faults.py         kill -9, SIGSTOP and SIGCONT, at moments a seed decides
    laws.py           what must hold afterwards
    linearizability.py  whether one key's history could have been one at a time
    run.py            rounds of load, faults and checks
    power_cut.py      a disk that keeps what was flushed and forgets the rest

`python -m tests.torture --seed N --kills N` (`make torture`); a failure prints the command that repeats it
and keeps the data directory. The seed decides what is asked and where it strikes, not how the operating
system schedules: a repetition is a close relative, not a copy.
"""
