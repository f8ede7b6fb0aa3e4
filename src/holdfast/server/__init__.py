"""Configuration, assembly and shutdown; the only place that knows every part."""
