"""The SDK: durable handlers in plain asyncio.

Owns    what a user's code is written against: services and handlers, contexts, steps, errors, serialisation,
        and the endpoint that serves them.
Promises  a handler that returned once returns the same on every replay; what users import comes from
        `holdfast`, and modules here may move.
Never   imports the server. Only `holdfast.protocol` is shared with it, so that a service deploys without the
        server's dependencies.
"""
