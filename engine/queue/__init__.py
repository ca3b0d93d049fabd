"""PgQ: typed calls of its functions, its batches and events."""
