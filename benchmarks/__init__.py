"""How long the tool and its peers take, and how much memory, side by side on one machine: `make bench`."""
