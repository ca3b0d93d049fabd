"""Consumers killed at every step, checked against a ledger kept outside the database."""
