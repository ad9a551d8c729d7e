"""One execution with its recorders is a Result; many are a Summary."""
