"""Parts that all commands share: the entry point, options, progress bars, tables, exit handling."""
