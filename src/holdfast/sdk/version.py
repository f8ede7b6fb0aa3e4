"""The version of this distribution, where every part can read it without importing `holdfast`."""

VERSION = "0.1.0"
