"""The admin HTTP interface: deployments, services, invocations, state, queries (protocol, section 8).

Owns        routes, request bodies, JSON shapes, status codes and texts, for four versions of the interface.
Promises    what official tools send is understood and what they read is there; a change is answered after it
            is durable.
Never does  state changes of its own: it turns requests into catalog changes and partition records.
"""
