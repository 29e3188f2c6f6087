"""Augmentation: image, mask and weight map in one call, drawn from the sample's own generator."""
