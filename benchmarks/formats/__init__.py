"""What becomes of every property of pixels in every format: the tables of docs/formats.md."""
