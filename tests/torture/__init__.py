"""Torture of rotation: random load and random faults, checked against a ledger kept outside the database."""
