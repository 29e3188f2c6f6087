"""Which experiment is better, and how sure that is: docs/comparison_statistics.md."""
