"""The data contract."""
