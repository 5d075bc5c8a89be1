"""One module per command. Each is imported only when its command runs, so that others start fast."""
