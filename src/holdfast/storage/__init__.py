"""The tables of a partition on SQLite, one file per partition, one module per table.

Owns       the files, their schema and migrations, and the write buffer between core and the disk.
Promises   what core wrote is visible to core at once and durable after `Database.commit`; a failed commit
           leaves everything in the buffer, to be tried again.
Never      decides anything: no rule of the state machine lives here.
"""
