"""One run at a time per lake."""
