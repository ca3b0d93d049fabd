"""Londiste: tables, copy, replay, compare and repair. Its room; nothing lives here yet."""
