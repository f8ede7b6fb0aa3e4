"""The public edge: HTTP requests become invocations, and their results become HTTP responses.

Owns        the listening socket, HTTP/1.1 and HTTP/2 on it, the routes, their errors and their limits.
Promises    a response leaves only after the engine reported what it says as durable; every buffer, queue and
            wait has a named bound (`IngressLimits`); a client that goes away costs its invocation nothing.
Never does  decide anything about an invocation, or touch storage: it asks the `Engine` and waits.

Read `routes` (what a path means), `dispatch` (what is done about it), then `http1` and `http2`, which know
bytes and connections and nothing of routes.
"""
