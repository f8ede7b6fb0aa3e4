"""The replay machine: frames in, frames out, no I/O, no clock, no event loop.

Owns      the journal of one attempt: what was replayed, what is new, which ids commands get.
Promises  a command that the journal already holds is checked against it and not sent; a new one is sent once;
          notifications come out in journal order, one at a time.
Never     runs user code: that is the attempt's part (`holdfast.sdk.attempt`).
"""
