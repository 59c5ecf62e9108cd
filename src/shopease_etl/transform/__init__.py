"""Bronze to silver to gold."""
