"""Other systems at the same work, each measured in an environment of its own (`make bench-peers`)."""
