"""A project of your own beside segexp: a network, losses, metrics, data and a callback."""
