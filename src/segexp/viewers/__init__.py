"""Viewers: cases with truth, prediction and error as layers of napari, and the plugin for it.

napari itself is loaded where a window is opened.
"""
