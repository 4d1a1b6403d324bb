"""The package that Django looks for commands in."""
