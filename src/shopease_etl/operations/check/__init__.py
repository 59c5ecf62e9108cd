"""The lines of `shopease check`: a module for each thing that a run needs."""
