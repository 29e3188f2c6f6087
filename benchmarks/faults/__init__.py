"""Faults on purpose: what becomes of runs whose processes, disks and files fail, or are somebody else's."""
