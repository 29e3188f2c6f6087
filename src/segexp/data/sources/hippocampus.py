"""Files of task 4 of the Medical Segmentation Decathlon, the hippocampus, for those who lack them."""

import json
from importlib import resources
from pathlib import Path

from segexp.data.files.download import RemoteFile, fetch_all
from segexp.writing import write_text

URL = "https://raw.githubusercontent.com/udacity/nd320-c3-3d-imaging-starter/895fee683624aafe2033521f4d9b6d99accd66d5/"
FOLDERS = {"images": "imagesTr", "labels": "labelsTr"}  # there -> here
DATASET = {
    "name": "Hippocampus",
    "reference": "Vanderbilt University Medical Center",
    "licence": "CC-BY-SA 4.0",
    "tensorImageSize": "3D",
    "modality": {"0": "MRI"},
    "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
}


class HippocampusFiles:
    """Downloads the 260 labeled volumes (20 MB, SHA-256 pinned), and writes the dataset.json that the copy lacks.

    Terms: CC-BY-SA 4.0. Source: Antonelli et al. 2022 (Nature Communications 13:4128); files: the GitHub repository
    udacity/nd320-c3-3d-imaging-starter.

    Args:
        url: URL under which data/TrainingSet/images/hippocampus_001.nii.gz and the others lie; ends with a slash.
    """

    def __init__(self, url: str = URL) -> None:
        self.url = url

    def __call__(self, folder: Path) -> None:
        """Download what is missing; a download that broke off goes on.

        Args:
            folder: Folder for imagesTr, labelsTr and dataset.json.

        Raises:
            OSError: A file cannot be downloaded or written, or the folder holds another copy, which stays as it is.
        """
        described = folder / "dataset.json"
        if described.exists():
            raise FileExistsError(f"{described} is of another copy, so nothing is downloaded there")
        files = _remote_files(self.url)
        fetch_all(files, folder)
        names = [Path(file.path).name for file in files if file.path.startswith("imagesTr/")]
        pairs = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names]
        write_text(described, json.dumps(DATASET | {"numTraining": len(pairs), "training": pairs}, indent=1) + "\n")


def _remote_files(url: str) -> list[RemoteFile]:
    """List the volumes: data/TrainingSet/images/NAME at ``url`` is imagesTr/NAME here, and so on."""
    lines = resources.files(__package__).joinpath("hippocampus.sha256").read_text(encoding="utf-8").splitlines()
    files = []
    for line in lines:
        sha256, there, size = line.split()
        folder, name = there.split("/")[-2:]
        files.append(RemoteFile(url + there, f"{FOLDERS[folder]}/{name}", sha256, int(size)))
    return files
