"""HTTP/2 (RFC 9113) as far as both sides of a connection need it.

Owns        frames, header fields, request heads; what both ends of a connection do alike (`either_side`),
            what they have to send, and a stream's half of that; a server's streams (`server_side`).
Promises    sans-IO: bytes in, bytes out; nothing here grows without a bound that has a name.
Never does  a client's streams (`invoker.http`), responses (`ingress`, `serving`), clocks, sockets
            (`http_server`).
"""
