"""Where SQL is run."""
