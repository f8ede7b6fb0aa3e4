"""What should happen: the deterministic state machine of one partition.

Owns       the rules: how a record (what a partition is told) changes the tables and which actions follow.
Promises   the same records against the same tables give the same tables and the same actions; no I/O of
           its own, no clock, no randomness, no asyncio. Times, ids and jitter arrive inside the records.
Never      imports another package of ours. Wire bytes pass through it unread.

Start with `model` (nouns), `records` (what comes in), `outcome` (what goes out), then `apply` (the one door).
"""
