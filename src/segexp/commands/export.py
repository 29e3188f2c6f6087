"""``segexp export``: hand a trained network over as one file of weights and a JSON file that says how to use it."""

from pathlib import Path

from segexp.checkpoints.rules import SUFFIXES
from segexp.cli import loaded
from segexp.commands.arguments import REQUIRED, parse
from segexp.errors import require_choice
from segexp.prediction.which import require_networks
from segexp.trust import OPTIONS, Vouched

DEFAULTS = {"run": REQUIRED, "format": "safetensors", "output": "", "verify": True}
COMMENTS = {
    "run": "run folder (its best epoch), checkpoint, or exported .safetensors",
    "format": ", ".join(SUFFIXES),
    "output": "file to write; its JSON file comes beside it; default: model.<suffix> in the run folder",
    "verify": "compare the file with the network before it is left: true, false",
    **OPTIONS,
}


def export(words: list[str]) -> None:
    """Write a trained network as safetensors, ONNX or torch.export, compare it with the original, and print the result.

    Raises:
        FileNotFoundError: There is no such run.
        ImportError: A package that the format needs is not there.
        ValueError: An argument is wrong, the run is broken or foreign, or the file does not agree with the network.
    """
    vouched, words = Vouched.of(words)
    arguments = parse(words, DEFAULTS, COMMENTS, "export")
    require_choice("format", arguments["format"], SUFFIXES)
    require_networks([Path(arguments["run"])])
    loaded("exporting", "export_network")(arguments, vouched)
