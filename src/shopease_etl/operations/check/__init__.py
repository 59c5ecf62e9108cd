"""What `check` looks at, a module for each thing that a run needs."""
