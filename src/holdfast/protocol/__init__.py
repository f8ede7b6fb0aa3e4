"""The wire: bytes to typed messages and back, for both ends of an invocation stream.

Owns      frames, protobuf bodies, identifiers, version negotiation, the discovery manifest, request identity.
Promises  decoding what was encoded gives it back; encoding a decoded official frame gives the same bytes;
          bytes that are wrong raise a `ProtocolError` with a stable `code`, and nothing else.
Never     does I/O, reads a clock, draws randomness, or imports another part of the project.

Start with `framing` (where a frame ends), then `messages` (what is inside). Shared by server and SDK.
"""
