"""System calls: the table, the live tracer, records, text."""
