"""Plugins that Hydra finds by itself; the work is done in segexp.sweeps."""
