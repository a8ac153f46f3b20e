"""The commands: each parses, calls one function, and hands the value to a renderer; a file per command."""
