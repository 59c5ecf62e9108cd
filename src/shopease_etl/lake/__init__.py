"""Where the lake's objects are, and how they change together."""
