"""The commands of `netmill`, by noun."""
