"""The examples once more, written with the official Python SDK: they run on our server unmodified."""
