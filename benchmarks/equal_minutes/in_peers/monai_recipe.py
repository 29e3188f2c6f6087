"""The recipes of MONAI's tutorials, ended by the clock: python monai_recipe.py LISTS OUTPUT END.

Volumes: network, loss, optimizer, batches and validation of spleen_segmentation_3d; its window of CT intensities is
replaced by the z-score that brats_segmentation_3d has for MRI, its patches of 96 voxels by ones that fit into the
volumes. Images: unet_training_dict of 2d_segmentation. Both keep the epoch of the best validation Dice. Data are cached
and no loader processes started, which is faster on few cores.
"""

import json
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.data import CacheDataset, DataLoader, list_data_collate
from monai.inferers import sliding_window_inference
from monai.losses import DiceLoss
from monai.metrics import DiceMetric
from monai.networks.nets import UNet
from monai.networks.utils import one_hot
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    RandCropByPosNegLabeld,
    RandRotate90d,
    ScaleIntensityd,
    SpatialPadd,
)
from monai.utils import set_determinism
from PIL import Image

BOTH = ["image", "label"]
VAL_INTERVAL = 2  # epochs
PATCH = {True: (32, 48, 32), False: (96, 96)}
WINDOW = {True: (48, 64, 48), False: (96, 96)}


class Recipe:
    """One of the two recipes.

    Args:
        lists: Content of the file of lists.
    """

    def __init__(self, lists: dict) -> None:
        self.lists = lists
        self.volumes = lists["volumes"]
        binary = not self.volumes
        self.network = UNet(
            spatial_dims=3 if self.volumes else 2,
            in_channels=1 if self.volumes else 3,
            out_channels=1 if binary else lists["classes"],
            channels=(16, 32, 64, 128, 256),
            strides=(2, 2, 2, 2),
            num_res_units=2,
            norm="BATCH" if self.volumes else "INSTANCE",
        )
        self.loss = DiceLoss(sigmoid=True) if binary else DiceLoss(to_onehot_y=True, softmax=True)
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-4 if self.volumes else 1e-3)
        self.steps = 0

    def data(self, part: str) -> CacheDataset:
        """Read the cases of a split, with what the recipe does to them."""
        keys = ["image"] if part == "test" else BOTH
        read = [LoadImaged(keys), EnsureChannelFirstd(keys)]
        if self.volumes:
            read += [
                Orientationd(keys, axcodes="RAS", labels=None),
                NormalizeIntensityd("image", nonzero=True, channel_wise=True),
            ]
        else:
            read += [ScaleIntensityd("image")]
        if part == "train":
            size = PATCH[self.volumes]
            read += [
                SpatialPadd(keys, size),
                RandCropByPosNegLabeld(keys, label_key="label", spatial_size=size, pos=1, neg=1, num_samples=4),
            ]
            read += [] if self.volumes else [RandRotate90d(keys, prob=0.5, spatial_axes=(0, 1))]
        return CacheDataset(self.lists[part], Compose(read), progress=False)

    def train(self, end: float) -> None:
        """Train until the clock says so; the network is then that of the best validation."""
        loader = DataLoader(self.data("train"), batch_size=2, shuffle=True, collate_fn=list_data_collate)
        val = self.data("val")
        best, kept, epoch, validation = -1.0, None, 0, 0.0
        while self.one_epoch(loader, end):
            epoch += 1
            if epoch % VAL_INTERVAL or time.time() + validation > end:
                continue
            began = time.time()
            score = self.validate(val)
            validation = time.time() - began
            print(f"epoch {epoch}: validation Dice {score:.4f}", flush=True)
            if score > best:
                best, kept = score, {name: value.clone() for name, value in self.network.state_dict().items()}
        if kept is not None:
            self.network.load_state_dict(kept)

    def one_epoch(self, loader: DataLoader, end: float) -> bool:
        """Train for one epoch; return whether it was whole."""
        self.network.train()
        for batch in loader:
            if time.time() >= end:
                return False
            self.optimizer.zero_grad()
            self.loss(self.network(batch["image"]), batch["label"]).backward()
            self.optimizer.step()
            self.steps += 1
        return True

    def validate(self, cases: CacheDataset) -> float:
        """Return the mean Dice of the foreground."""
        metric = DiceMetric(include_background=not self.volumes)
        for case in cases:
            labels = self.labels(case["image"])
            truth = case["label"][None]
            if self.volumes:
                labels, truth = (one_hot(each, self.lists["classes"]) for each in (labels, truth))
            metric(labels, truth)
        return metric.aggregate().item()

    def labels(self, image: torch.Tensor) -> torch.Tensor:
        """Predict labels (1, 1, *S) of an image (C, *S)."""
        self.network.eval()
        with torch.no_grad():
            logits = sliding_window_inference(image[None], WINDOW[self.volumes], 4, self.network)
        return logits.argmax(1, keepdim=True) if self.volumes else (logits > 0).long()

    def predict(self, folder: Path) -> None:
        """Write the masks of the test cases."""
        for files, case in zip(self.lists["test"], self.data("test"), strict=True):
            labels = np.asarray(self.labels(case["image"])[0, 0]).astype(np.uint8)
            path = folder / f"{files['name']}{self.lists['suffix']}"
            if self.volumes:
                nib.save(nib.Nifti1Image(labels, nib.load(files["image"]).affine), path)
            else:
                Image.fromarray(labels.T).save(path)  # MONAI has the axes (width, height)


def main(lists: str, output: str, end: str) -> None:
    set_determinism(0)
    recipe = Recipe(json.loads(Path(lists).read_text()))
    recipe.train(float(end))
    trained = time.time()
    folder = Path(output)
    recipe.predict(folder / "predictions")
    parameters = sum(p.numel() for p in recipe.network.parameters())
    facts = {"steps": recipe.steps, "parameters": parameters, "trained": trained}
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
