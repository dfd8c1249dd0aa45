"""Images of what no shape of the classifier is, to choose a score of the unfamiliar by (`confidence.py`).

    python benchmarks/unknowns.py -o unknowns/                  # split validation: to choose by; 24 images of each kind
    python benchmarks/unknowns.py -o unknowns/ --split test     # to report; about a second an image on a free core

The kinds are those of `facetem.study.unknowns`, in the conditions of the standard test. One file of tensors
(n, 256, 256) for each kind and split; a file that is there is not drawn again.
"""

import argparse
from pathlib import Path

import torch

from facetem.data.recipe import Split
from facetem.data.recipe_file import shipped_recipe
from facetem.study.unknowns import KINDS, draw_unknowns


def path_of(folder: Path, kind: str, split: Split) -> Path:
    """Where the images of a kind are kept."""
    return folder / f"{split}-{kind.replace(' ', '-')}.pt"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--n", type=int, default=24, help="images of each kind; a multiple of 3")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    recipe = shipped_recipe("au-4-8nm-test")
    for kind in KINDS:
        path = path_of(given.output, kind, given.split)
        if not path.exists():
            torch.save(draw_unknowns(kind, recipe, split=given.split, n=given.n), path)
        print(path, flush=True)


if __name__ == "__main__":
    main()
