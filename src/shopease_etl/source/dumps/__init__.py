"""Dumps of PostgreSQL: where their bytes come from, what plain ones say, and the programs that load them."""
