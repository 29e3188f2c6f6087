"""Overrides of a run that takes a second: nine small cases, a small network."""

SMALL = [
    "data.source.size=[48,48]",
    "data.source.count=9",
    "data.split.val=3-5",
    "data.split.test=6-8",
    "data.sampling.patch_size=[32,32]",
    "data.sampling.patches_per_epoch=16",
    "data.sampling.batch_size=4",
    "model.base_channels=4",
    "model.depth=2",
    "trainer.precision=32-true",
]
