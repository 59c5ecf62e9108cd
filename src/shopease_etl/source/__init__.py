"""The source database: PostgreSQL, embedded or not, and dumps of it."""
