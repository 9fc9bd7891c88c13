"""The version of troops; the Go side reads it from this file."""

__version__ = "0.1.0"
