"""SQL modules and named queries; data, loaded by `engine.postgres.sql`."""
