"""Measures how good the tests are."""
