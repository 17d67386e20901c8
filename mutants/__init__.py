"""Deliberate defects in the scripts, and the check that the tests catch each of them."""
