"""The restorer beside a public pretrained one, tk-r-em (Lobato, Friedrich and Van Aert, arXiv:2303.17025).

    python benchmarks/pretrained.py draw -o FOLDER [--suite FOLDER]           # the images that the suite restores
    python -m venv OTHER && OTHER/bin/pip install "tensorflow-cpu==2.12.*" tk-r-em
    OTHER/bin/python benchmarks/pretrained.py restore FOLDER                  # imports nothing of facetem
    python benchmarks/pretrained.py score FOLDER

`score` compares both at five foci with the measures of `facetem.study.filters`: against the noise-free image at best
focus, which the restorer is asked for, and against the noise-free image at the same focus, which a denoiser is. tk-r-em
sees the electrons of each pixel, as a counting camera gives them.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

IMAGES, OTHER, RESULT = "images.npz", "tk-r-em.npz", "pretrained.json"


def draw(arguments: argparse.Namespace) -> None:
    """Keep images (focus, n, y, x), what they should be, and their electrons a pixel."""
    from facetem.core.pixels import PIXEL
    from facetem.study.bench import Bench
    from facetem.study.restoring import FOCI, at_focus
    from facetem.study.suite import RESTORED

    bench = Bench(arguments.suite or arguments.output, workers=arguments.workers)
    batches = [
        bench.imaged(bench.store(bench.recipe, n=RESTORED), at_focus(bench.recipe, defocus), n=RESTORED)
        for defocus in FOCI
    ]
    arguments.output.mkdir(parents=True, exist_ok=True)
    np.savez(
        arguments.output / IMAGES,
        foci=np.array(FOCI),
        electrons=np.stack([batch.dose.numpy() * PIXEL**2 for batch in batches]),
        **{
            name: np.stack([getattr(batch, name).float().numpy() for batch in batches])
            for name in ("noisy", "clean", "target", "mask")
        },
    )


def restore(arguments: argparse.Namespace) -> None:
    """What tk-r-em makes of them, in an environment that has it."""
    from tk_r_em import load_network  # pyright: ignore[reportMissingImports]

    network = load_network("sfr_hrtem")
    with np.load(arguments.folder / IMAGES) as kept:
        counts = kept["noisy"] * kept["electrons"][..., None, None]
    answers = [network.predict(stack[..., None].astype(np.float32), 4)[..., 0] for stack in counts]
    np.savez(arguments.folder / OTHER, restored=np.stack(answers).astype(np.float32))


def score(arguments: argparse.Namespace) -> None:
    """Both, and the images as they came, against both targets."""
    import torch

    from facetem.learn.restoration import load_restorer
    from facetem.study.filters import restoration_scores

    restorer = load_restorer(device="cpu")
    with np.load(arguments.folder / IMAGES) as kept, np.load(arguments.folder / OTHER) as other:
        foci, masks = kept["foci"], torch.from_numpy(kept["mask"] > 0.5)
        wanted = {name: torch.from_numpy(kept[name]) for name in ("target", "clean")}
        images = {"raw": kept["noisy"], "tk-r-em": other["restored"]}
    ours = [[restorer.restore(image, seed=i) for i, image in enumerate(stack)] for stack in images["raw"]]
    result = {}
    for against, name in (("target", "image"), ("clean", "denoised")):
        images["facetem"] = np.stack([[getattr(one, name) for one in row] for row in ours])
        result[against] = {
            method: [
                asdict(restoration_scores(torch.from_numpy(stack[k]), wanted[against][k], masks[k]))
                for k in range(len(foci))
            ]
            for method, stack in images.items()
        }
    (arguments.folder / RESULT).write_text(json.dumps({"foci": foci.tolist(), **result}, indent=1) + "\n")
    for against, words in (("target", "at the best focus"), ("clean", "at the same focus")):
        for measure, digits in (("psnr", 2), ("ssim", 3), ("lattice", 3), ("contrast_ratio", 3)):
            print(f"\n| {measure}, {words} | {' | '.join(f'{focus / 10:g} nm' for focus in foci)} |")
            print(f"|{' --- |' * (1 + len(foci))}")
            for method, rows in result[against].items():
                print(f"| {method} | {' | '.join(f'{row[measure]:.{digits}f}' for row in rows)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    drawing = commands.add_parser("draw")
    drawing.add_argument("-o", "--output", type=Path, required=True)
    drawing.add_argument("--suite", type=Path, help="a suite's folder, whose specimens are taken")
    drawing.add_argument("--workers", type=int, default=1)
    drawing.set_defaults(run=draw)
    for name, run in (("restore", restore), ("score", score)):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        command.set_defaults(run=run)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
