"""SQL over a running server: what the command line, the web interface and operators ask `POST /query`.

Owns      the tables people see (`sys_invocation`, `sys_journal`, `state` ...), their dialect, and how answers
          are written.
Promises  a query reads committed data, never writes, never blocks the event loop or the writer, and ends by
          itself: time, rows, bytes and concurrency are bounded.
Never     changes anything, and never shows storage's own tables: their schema stays free to change.
"""
