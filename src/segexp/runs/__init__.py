"""A run on disk: its folder, record, results, state, and what tells two runs apart."""
