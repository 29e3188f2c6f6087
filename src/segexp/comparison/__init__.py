"""Comparison: experiments, statistics over cases and runs, tables, the page."""
