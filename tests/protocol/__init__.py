"""Tests of the wire: captured traffic, laws, and a second implementation to disagree with."""
