"""The deterministic event loop that handler code runs on.

Owns      `DurableLoop`, an `asyncio` event loop with no sockets, no threads and no clock of its own.
Promises  what a handler sees is a function of the notifications it was given and their order, and of nothing
          else: between two notifications the loop runs until no callback is ready (it is *quiet*).
Never     waits, reads a clock, or runs two callbacks at once.
"""
