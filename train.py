"""Door of a checkout: `python train.py model=unet_bilinear data=isbi` is `segexp train` with the same overrides."""

from segexp.cli import main

if __name__ == "__main__":
    main("train")
