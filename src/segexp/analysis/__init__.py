"""What becomes of a finished run: records, tables, pictures."""
