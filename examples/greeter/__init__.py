"""The smallest service; see `service.py`."""
