"""The law of replay, over generated programs: whatever a handler does with asyncio, replaying any prefix of
its journal gives the same commands and the same result.

    programs.py   what a program can be: a generator of trees, from a seed
    play.py       the handler that runs a program and writes down everything it sees
    server.py     a model of the server: a journal, completions in any order, cuts, suspensions
    law.py        the laws themselves
    __main__.py   `python -m tests.sdk.laws SEED COUNT`: many programs, outside the test suite
"""
