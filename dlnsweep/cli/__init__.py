"""The command line: commands, progress, Ctrl-C; the one place that turns errors into text."""
