"""The clock, and what it fires.

Owns       the real clock, which it lends to whoever makes records, and the wake-ups of a partition.
Promises   a stored timer is reported to its partition at or soon after its time, again and again until the
           partition has taken it out; only timers that are due are read into memory.
Never      changes a table: a due timer becomes a record like any other.
"""
