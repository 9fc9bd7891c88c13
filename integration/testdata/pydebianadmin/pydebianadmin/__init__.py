"""Administer a Debian machine: the small part of PyDebianAdmin that the tests need."""
