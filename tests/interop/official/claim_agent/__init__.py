"""The claim agent on the official Python SDK; the rest of it is `examples/claim_demo`'s."""
