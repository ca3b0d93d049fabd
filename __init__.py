"""skyconsole: PgQ queues, Londiste replication and WAL shipping for today's PostgreSQL."""

__version__ = "0.1.0"
