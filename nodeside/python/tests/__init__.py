"""Tests of the module troops: python3 -m unittest discover -s tests -t . (here)."""
