"""The restorer at work: the figures and numbers of docs/restoration.md.

python benchmarks/restoration.py samples -o set.pt --n 80                # simulate test samples, about a second each
python benchmarks/restoration.py views set.pt                            # quality and spread against views and time
python benchmarks/restoration.py guard set.pt                            # alarms on true and on foreign lattice
python benchmarks/restoration.py picture set.pt -o docs/images/restoration.png
"""

import argparse
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from facetem.data.recipe_file import shipped_recipe
from facetem.data.samples import Batch, draw_set
from facetem.figures import png, restorations
from facetem.learn.calibration import fit_spread_scale
from facetem.learn.restoration import VIEWS, Restoration, Restorer, load_restorer
from facetem.learn.support import lattice_support
from facetem.study.metrics import contrast, psnr
from facetem.study.restoring import smoothed

PIXEL = 0.4  # Å
FRINGES = (1.9, 2.4)  # Å: spacings of the waves that are put into images which do not have them
AMPLITUDE = 0.05  # of vacuum, of these waves


def load(path: Path, n: int) -> Batch:
    saved = torch.load(path, map_location="cpu", weights_only=False)
    return Batch(**{field.name: saved[field.name][:n] for field in fields(Batch)})


def images(stack: torch.Tensor) -> list[NDArray[np.float32]]:
    return list(stack.float().numpy())


def restored(samples: Batch, restorer: Restorer, views: int = VIEWS) -> list[Restoration]:
    return [restorer.restore(image, views=views, seed=i) for i, image in enumerate(images(samples.noisy))]


def rank(maps: list[NDArray], errors: list[NDArray]) -> tuple[float, float, float]:
    """Spearman's correlation of smoothed maps with smoothed errors: median and 10th percentile of the images, and of
    all pixels together."""
    pairs = [(smoothed(a), smoothed(b)) for a, b in zip(maps, errors, strict=True)]
    each = [spearmanr(a, b)[0] for a, b in pairs]
    together = spearmanr(*(np.concatenate(part) for part in zip(*pairs, strict=True)))[0]
    return float(np.median(each)), float(np.quantile(each, 0.1)), float(together)


def views(samples: Batch) -> None:
    restorer, targets = load_restorer(device="cpu"), images(samples.target)
    for number in (2, 3, 4, 8):
        begun = time.process_time()
        answers = restored(samples, restorer, number)
        took = (time.process_time() - begun) / len(answers)
        errors = [a.image - t for a, t in zip(answers, targets, strict=True)]
        quality = psnr(torch.tensor(np.stack([a.image for a in answers])), samples.target.float()).mean()
        factor = fit_spread_scale(np.stack([a.spread for a in answers]), np.stack(errors))
        print(
            f"{number} views: PSNR {quality:.2f} dB, Spearman {rank([a.spread for a in answers], errors)}, "
            f"error/spread {factor:.2f}, {took:.2f} s an image"
        )
        if number == VIEWS:
            print(f"  |restored - 1| in place of the spread: {rank([a.image - 1 for a in answers], errors)}")
            reliability(np.stack([a.spread for a in answers]), np.stack(errors))
            inside = samples.mask > 0.5
            shown = {"image": samples.noisy, "target": samples.target}
            shown["restored"] = torch.tensor(np.stack([a.image for a in answers]))
            for name, stack in shown.items():
                print(f"  contrast, median, {name}: {float(contrast(stack.float(), inside).median()):.2f}")


def reliability(spread: NDArray, error: NDArray) -> None:
    """Rms error of the pixels of each tenth of the spread, and of each image."""
    tenth = np.searchsorted(np.quantile(spread, np.linspace(0.1, 0.9, 9)), spread)
    for i in range(10):
        of_spread, of_error = (float(np.sqrt(np.square(a[tenth == i]).mean())) for a in (spread, error))
        print(f"  tenth {i + 1} of the spread: {of_spread:.4f}, error {of_error:.4f}")
    ratio = np.sqrt(np.square(error).mean((1, 2)) / np.square(spread).mean((1, 2)))
    print(
        f"  rms error / rms spread of an image, 5 to 95 %: {np.quantile(ratio, (0.05, 0.25, 0.5, 0.75, 0.95))}"
    )


def guard(samples: Batch) -> None:
    answers, inside = restored(samples, load_restorer(device="cpu")), images(samples.mask)
    noisy = images(samples.noisy)
    rows: dict[str, list[tuple[bool, bool, int, int]]] = {
        "its own": [],
        "another's": [],
        "a wave": [],
        "film": [],
    }
    y, x = np.indices(noisy[0].shape) * PIXEL
    for i, (image, answer, mask) in enumerate(zip(noisy, answers, inside, strict=True)):
        rng, other = np.random.default_rng(i), (i + 7) % len(noisy)
        turn, spacing = rng.uniform(0, np.pi), rng.uniform(*FRINGES)
        wave = AMPLITUDE * np.cos(2 * np.pi / spacing * (x * np.cos(turn) + y * np.sin(turn)))
        shown = {
            "its own": (answer.image, mask > 0.5),
            "another's": (answers[other].image, (mask > 0.5) & (inside[other] > 0.5)),
            "a wave": (gaussian_filter(answer.image, 4) + (mask > 0.5) * wave, mask > 0.5),
            "film": (answer.image, mask < 0.5),
        }
        for name, (picture, where) in shown.items():
            support = lattice_support(image, picture, sampling=PIXEL).within(where)
            there = support.lattice > 0
            rows[name].append(
                (bool(there.any()), support.invented, int(there.sum()), int(support.suspect.sum()))
            )
    for name, row in rows.items():
        shows, alarms, windows, suspect = np.array(row).sum(0)
        print(f"lattice of {name}: alarm for {alarms} of {shows} particles, {suspect} of {windows} windows")


def picture(samples: Batch, output: Path) -> None:
    answers = restored(samples, load_restorer(device="cpu"))
    rows = [
        (noisy, answer.image, answer.spread, target)
        for noisy, answer, target in zip(images(samples.noisy), answers, images(samples.target), strict=True)
    ]
    output.write_bytes(png(restorations(rows, PIXEL), dpi=75))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["samples", "views", "guard", "picture"])
    parser.add_argument("set", nargs="?", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--n", type=int, default=80)
    parser.add_argument("--rows", type=int, nargs="*", default=[0, 1, 2], help="samples in the picture")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.what == "samples":
        drawn = draw_set(shipped_recipe("au-4-8nm-test"), split="test", n=given.n)
        torch.save({field.name: getattr(drawn, field.name) for field in fields(Batch)}, given.output)
        return
    samples = load(given.set, given.n)
    if given.what == "picture":
        picture(Batch(*(getattr(samples, field.name)[given.rows] for field in fields(Batch))), given.output)
    else:
        {"views": views, "guard": guard}[given.what](samples)


if __name__ == "__main__":
    main()
