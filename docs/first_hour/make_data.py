"""Write a folder of images with masks, and a data set in nnU-Net's raw layout, to try the first hour on.

python docs/first_hour/make_data.py
"""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

CELLS, BLOBS = 16, 10


def blobs(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A noisy image and its labels: blobs (1) with a core (2)."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=shape), 4)
    labels = np.digitize(smooth, np.quantile(smooth, [0.75, 0.92])).astype(np.uint8)
    return (60 + 50 * labels + rng.normal(0, 25, shape)).clip(0, 255).astype(np.uint8), labels


def write_folder(root: Path) -> None:
    """scans/cell_00.png with masks/cell_00_mask.png of 0 and 255, as a microscope and a drawing program leave them."""
    for name in ("scans", "masks"):
        (root / name).mkdir(exist_ok=True)
    for number in range(CELLS):
        image, labels = blobs(number, (160, 160))
        Image.fromarray(image).save(root / "scans" / f"cell_{number:02d}.png")
        Image.fromarray(255 * (labels > 0).astype(np.uint8)).save(root / "masks" / f"cell_{number:02d}_mask.png")


def write_nnunet(root: Path) -> None:
    """nnUNet_raw/Dataset001_Blobs, with two cases held out in imagesTs and labelsTs."""
    folder = root / "nnUNet_raw" / "Dataset001_Blobs"
    for number in range(BLOBS):
        split = "Ts" if number >= BLOBS - 2 else "Tr"
        image, labels = blobs(100 + number, (24, 48, 48))
        for kind, values, ending in (("images", image, "_0000"), ("labels", labels, "")):
            path = folder / f"{kind}{split}" / f"blob_{number:02d}{ending}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0])), path)
    content = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "rim": 1, "core": 2}}
    content |= {"numTraining": BLOBS - 2, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(content))


if __name__ == "__main__":
    write_folder(Path())
    write_nnunet(Path())
