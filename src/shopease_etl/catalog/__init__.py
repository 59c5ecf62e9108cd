"""Where tables and views are registered."""
