"""Holdfast: durable execution for AI agents and services."""

__version__ = "0.1.0"
