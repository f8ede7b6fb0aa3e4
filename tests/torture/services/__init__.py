"""Handlers to be tortured: one contract, two SDKs, both writing to one effects file.

    {P}Work.steps(count)           "step i" for each; answers count
    {P}Work.nap(ms)                sleeps; answers "rested"
    {P}Work.through(target)        calls another service's account; answers the new total
    {P}Work.waits(token)           "awakeable ID"; answers what it is resolved with
    {P}Account.add(amount)         reads, a step, sleeps, writes; answers the new total
    {P}Account.total()             shared
    {P}Account.read/write/swap     a register; swap answers whether the expected value was there
    {P}Flow.run(value), approve    waits for the promise; answers both values

Every attempt of `steps`, `add` and `run` first writes "begin TOKEN", tells its steps as "step I TOKEN", and
last "done TOKEN". The token is new for every attempt: that is how the laws tell attempts apart.
"""
