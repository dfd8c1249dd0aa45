"""Which calibration, which conformal score and which score of the unfamiliar serve the classifier best.

    python benchmarks/unknowns.py -o unknowns/                                    # images of what it has not learnt
    python benchmarks/confidence.py --stated stated.pt --familiar familiar.pt --unknowns unknowns/

`stated` and `familiar` are files of `draw_set` (split validation): of the conditions that the confidence is stated for
(recipe `au-4-8nm-test`), and of all that the network was trained on (`au-4-8nm`). What the network makes of images is
kept beside each file. Everything is chosen on these; `--test test.pt --unknowns-split test` prints the same tables for
images that chose nothing.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from facetem.learn.classifier import ShapeClassifier
from facetem.learn.conformal import conformal_quantile
from facetem.learn.normalise import normalise
from facetem.learn.spectra import ring_spectra
from facetem.learn.views import left_handed, views
from facetem.learn.weights_file import load_network
from unknowns import KINDS, path_of

FOLDS, REPEATS = 5, 4
COVERAGE = 0.9


class Seen(NamedTuple):
    """What the network makes of images: of each of the eight views, logits (n, 8, classes) and features (n, 8, d).
    And what it does not: power spectra in rings (n, r), and how far the strongest spot stands out (n,)."""

    logits: Tensor
    features: Tensor
    labels: Tensor
    rings: Tensor
    spots: Tensor


def seen(path: Path, network: ShapeClassifier, keep: Path) -> Seen:
    """Of the images in a file, a batch or a tensor (n, y, x); `keep` is the folder for what was seen."""
    kept = keep / f"{path.stem}.seen.pt"
    if not kept.exists():
        batch = torch.load(path, weights_only=False)
        if isinstance(batch, Tensor):
            batch = {"noisy": batch}
        batch = batch if isinstance(batch, dict) else vars(batch)
        noisy = batch["noisy"]
        with torch.inference_mode():
            scaled = [normalise(image[None].float()) for image in noisy]
            answers = [network.classify(views(one, left_handed(one[:, 0]))) for one in scaled]
        logits = torch.stack([answer.logits for answer in answers])
        features = torch.stack([answer.features for answer in answers])
        keep.mkdir(parents=True, exist_ok=True)
        labels = batch.get("labels", torch.full((len(noisy),), -1))
        torch.save((logits, features, labels, *ring_spectra(noisy.float())), kept)
    return Seen(*torch.load(kept))


# Calibration


class Scaling(NamedTuple):
    """softmax(scale * logits + bias), of one scale or one for each class, with or without a bias."""

    scales: int
    biased: bool


SCALINGS = {
    "temperature": Scaling(1, False),
    "temperature + bias": Scaling(1, True),
    "vector": Scaling(8, True),
}


def fitted(scaling: Scaling, logits: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """The scaling of the least cross-entropy."""
    log_scale = torch.zeros(scaling.scales, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(logits.shape[1], dtype=torch.float64, requires_grad=scaling.biased)
    free = [log_scale, bias] if scaling.biased else [log_scale]
    optimizer = torch.optim.LBFGS(free, max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(logits.double() * log_scale.exp() + bias, labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return lambda new: torch.softmax(new.double() * log_scale.detach().exp() + bias.detach(), 1)


def folds(n: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Indices to fit on and to score on: `FOLDS` parts, `REPEATS` times."""
    for repeat in range(REPEATS):
        order = torch.randperm(n, generator=torch.Generator().manual_seed(repeat))
        for part in range(FOLDS):
            held = order[part::FOLDS]
            yield order[~torch.isin(order, held)], held


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    confidence, named = probabilities.max(1)
    which = (confidence * bins).long().clamp_max(bins - 1)
    gap = torch.zeros(bins, dtype=confidence.dtype)
    gap.index_add_(0, which, (named == labels).to(confidence.dtype) - confidence)
    return float(gap.abs().sum() / len(labels))


def cross_fitted(scaling: Scaling, logits: Tensor, labels: Tensor) -> Tensor:
    """Probabilities (REPEATS, n, classes), each of a scaling that was fitted without the image."""
    out = torch.zeros(REPEATS, *logits.shape, dtype=torch.float64)
    for i, (fit, held) in enumerate(folds(len(labels))):
        out[i // FOLDS, held] = fitted(scaling, logits[fit], labels[fit])(logits[held])
    return out


def scored(probabilities: Tensor, labels: Tensor) -> str:
    nll = functional.nll_loss(probabilities.log(), labels)
    accuracy = (probabilities.argmax(1) == labels).double().mean()
    return f"{float(nll):.4f}  {calibration_error(probabilities, labels):.4f}  {float(accuracy):.4f}"


def compare_calibration(stated: Seen, test: Seen | None) -> None:
    print("\n## Calibration: cross-entropy, calibration error (15 bins), accuracy")
    print("A perfectly calibrated network of these confidences would have shown a calibration error of:")
    p = cross_fitted(SCALINGS["temperature"], stated.logits.mean(1), stated.labels)[0]
    generator = torch.Generator().manual_seed(0)
    fair = [calibration_error(p, torch.multinomial(p, 1, generator=generator)[:, 0]) for _ in range(200)]
    print(f"{torch.tensor(fair).mean():.4f} (n = {len(p)})")
    for n in (1, 4, 8):
        logits = stated.logits[:, :n].mean(1)
        print(f"{n} views, as they are         {scored(torch.softmax(logits.double(), 1), stated.labels)}")
        for name, scaling in SCALINGS.items():
            parts = cross_fitted(scaling, logits, stated.labels)
            means = torch.tensor([[float(x) for x in scored(p, stated.labels).split()] for p in parts]).mean(
                0
            )
            print(f"{n} views, {name:20s} " + "  ".join(f"{x:.4f}" for x in means))
    probabilities = torch.softmax(stated.logits.double(), 2).mean(1)
    for name, scaling in SCALINGS.items():
        parts = cross_fitted(scaling, probabilities.log(), stated.labels)
        means = torch.tensor([[float(x) for x in scored(p, stated.labels).split()] for p in parts]).mean(0)
        print(f"mean probability, {name:20s} " + "  ".join(f"{x:.4f}" for x in means))
    if test is not None:
        for name, scaling in SCALINGS.items():
            answer = fitted(scaling, stated.logits.mean(1), stated.labels)(test.logits.mean(1))
            print(f"test, 8 views, {name:20s} {scored(answer, test.labels)}")


# Conformal sets


def least_ambiguous(p: Tensor, generator: torch.Generator) -> Tensor:
    """1 - p: Sadinle, Lei and Wasserman 2019."""
    return 1 - p


def adaptive(p: Tensor, generator: torch.Generator) -> Tensor:
    """What is more probable, and a random part of the own: Romano, Sesia and Candès 2020."""
    ranked = p.sort(1, descending=True)
    before = ranked.values.cumsum(1) - ranked.values
    part = torch.rand(len(p), 1, generator=generator, dtype=p.dtype)
    return torch.zeros_like(p).scatter(1, ranked.indices, before + part * ranked.values)


def regularised(p: Tensor, generator: torch.Generator, weight: float = 0.1, free: int = 2) -> Tensor:
    """The same, with a fine for every shape after the first `free`: Angelopoulos et al. 2021."""
    rank = p.argsort(1, descending=True).argsort(1)
    return adaptive(p, generator) + weight * (rank + 1 - free).clamp_min(0)


CONFORMAL = {"1 - p (LAC)": least_ambiguous, "APS": adaptive, "RAPS": regularised}


def sets_of(score: Callable, fit: Tensor, labels: Tensor, new: Tensor, coverage: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    own = score(fit, generator).gather(1, labels[:, None])[:, 0]
    inside = score(new, generator) <= conformal_quantile(own, coverage)
    return inside.scatter(1, new.argmax(1, keepdim=True), True)


def compare_conformal(stated: Seen, test: Seen | None) -> None:
    print(
        "\n## Conformal sets: coverage, mean size, share of one shape, accuracy among these, least covered class"
    )
    p = cross_fitted(SCALINGS["temperature"], stated.logits.mean(1), stated.labels)[0]
    calibrated = fitted(SCALINGS["temperature"], stated.logits.mean(1), stated.labels)

    def told(inside: Tensor, p: Tensor, labels: Tensor) -> Tensor:
        hit, single = inside.gather(1, labels[:, None])[:, 0].double(), inside.sum(1) == 1
        worst = min(float(hit[labels == c].mean()) for c in labels.unique())
        right = (p.argmax(1) == labels).double()[single].mean()
        return torch.tensor([hit.mean(), inside.sum(1).double().mean(), single.double().mean(), right, worst])

    for coverage in (0.8, 0.9, 0.95):
        for name, score in CONFORMAL.items():
            rows = [
                told(
                    sets_of(score, p[fit], stated.labels[fit], p[held], coverage),
                    p[held],
                    stated.labels[held],
                )
                for fit, held in folds(len(p))
            ]
            print(f"{coverage:.2f} {name:12s} " + "  ".join(f"{x:.3f}" for x in torch.stack(rows).mean(0)))
            if test is not None:
                new = calibrated(test.logits.mean(1))
                found = told(sets_of(score, p, stated.labels, new, coverage), new, test.labels)
                print("     on the test     " + "  ".join(f"{x:.3f}" for x in found))


# What is unfamiliar


Score = Callable[[Seen], Tensor]  # the larger, the less familiar


def scores_of(known: Seen, held_out: Seen) -> dict[str, Score]:
    """Every score, fitted to images of what is known; sums are of scores in units of their spread over others."""
    features = known.features.mean(1).double()
    centres = torch.stack([features[known.labels == c].mean(0) for c in range(8)])

    def mahalanobis(means: Tensor, which: Tensor, shrink: float) -> Score:
        centred = features - means[which]
        covariance = centred.T @ centred / len(centred)
        scale = covariance.diagonal().mean()
        covariance = (1 - shrink) * covariance + shrink * scale * torch.eye(
            len(covariance), dtype=torch.float64
        )
        precision = torch.linalg.inv(covariance)

        def score(new: Seen) -> Tensor:
            offset = new.features.mean(1).double()[:, None] - means
            return torch.einsum("ncd,de,nce->nc", offset, precision, offset).amin(1)

        return score

    def neighbours(k: int, scaled: bool) -> Score:
        middle, spread = (features.mean(0), features.std(0) + 1e-6) if scaled else (0.0, 1.0)
        bank = functional.normalize((features - middle) / spread, dim=1)

        def score(new: Seen) -> Tensor:
            own = functional.normalize((new.features.mean(1).double() - middle) / spread, dim=1)
            return torch.cdist(own, bank).topk(k, largest=False).values[:, -1]

        return score

    middle, spread = known.rings.double().mean(0), known.rings.double().std(0).clamp_min(1e-6)
    scaled = (known.rings - middle) / spread
    correlation = 0.9 * scaled.T @ scaled / len(scaled) + 0.1 * torch.eye(len(middle), dtype=torch.float64)
    inverse = torch.linalg.inv(correlation)

    def spectrum(new: Seen) -> Tensor:
        offset = (new.rings - middle) / spread
        return torch.einsum("nd,de,ne->n", offset, inverse, offset).log()

    everywhere = torch.zeros(len(features), dtype=torch.int64)
    scores: dict[str, Score] = {
        "least confident": lambda new: -torch.softmax(new.logits.mean(1).double(), 1).amax(1),
        "max logit": lambda new: -new.logits.mean(1).double().amax(1),
        "energy": lambda new: -new.logits.mean(1).double().logsumexp(1),
        "views disagree": lambda new: new.logits.double().std(1).mean(1),
        "Mahalanobis (before)": mahalanobis(centres, known.labels, 0.1),
        "Mahalanobis, less shrunk": mahalanobis(centres, known.labels, 0.001),
        "one Gaussian": mahalanobis(features.mean(0)[None], everywhere, 0.1),
        **{f"neighbour {k}": neighbours(k, False) for k in (1, 5, 20)},
        "neighbour 5, whitened": neighbours(5, True),
        "rings of the spectrum": spectrum,
        "no lattice": lambda new: -new.spots.double(),
    }

    def together(*names: str) -> Score:
        fitted = [(scores[name], scores[name](held_out)) for name in names]

        def score(new: Seen) -> Tensor:
            parts = [(one(new) - own.mean()) / own.std() for one, own in fitted]
            return torch.stack(parts).sum(0)

        return score

    sums = (
        ("energy", "neighbour 5"),
        ("energy", "Mahalanobis (before)"),
        ("neighbour 5", "no lattice"),
        ("neighbour 5", "rings of the spectrum"),
        ("Mahalanobis (before)", "rings of the spectrum", "no lattice"),
        ("neighbour 5", "rings of the spectrum", "no lattice"),
    )
    return scores | {" + ".join(name.split()[0] for name in names): together(*names) for names in sums}


def auroc(known: Tensor, strange: Tensor) -> float:
    """The chance that an unfamiliar image scores more than a known one."""
    return float(
        (strange[:, None] > known).double().mean() + 0.5 * (strange[:, None] == known).double().mean()
    )


def compare_unfamiliar(familiar: Seen, held_out: Seen, known: Seen, strange: dict[str, Seen]) -> None:
    print(
        "\n## AUROC of known images against each kind of unknown; the part of them found at 2 % of false alarms"
    )
    print(" " * 28 + "  ".join(f"{kind[:13]:>13s}" for kind in strange) + "   mean of six (false alarms)")
    for name, score in scores_of(familiar, held_out).items():
        usual = score(known)
        limit = conformal_quantile(score(held_out), 0.98)
        cells, areas = [], []
        for new in strange.values():
            values = score(new)
            areas.append(auroc(usual, values))
            cells.append(f"{areas[-1]:.3f} ({float((values > limit).double().mean()):4.0%})")
        alarms = float((usual > limit).double().mean())
        print(
            f"{name:28s}"
            + "  ".join(f"{c:>13s}" for c in cells)
            + f"   {sum(areas[:6]) / 6:.3f} ({alarms:.1%})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("stated", "familiar", "unknowns"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--unknowns-split", choices=("validation", "test"), default="validation")
    parser.add_argument(
        "--keep",
        type=Path,
        default=Path("confidence-seen"),
        help="folder for what was seen; one for each weights file",
    )
    parser.add_argument("--weights", type=Path)
    given = parser.parse_args()
    network = load_network(given.weights, ShapeClassifier)[0].eval()
    stated, familiar = (seen(path, network, given.keep) for path in (given.stated, given.familiar))
    test = None if given.test is None else seen(given.test, network, given.keep)
    paths = {kind: path_of(given.unknowns, kind, given.unknowns_split) for kind in KINDS}
    strange = {kind: seen(path, network, given.keep) for kind, path in paths.items() if path.exists()}
    compare_calibration(stated, test)
    compare_conformal(stated, test)
    compare_unfamiliar(familiar, stated, stated if test is None else test, strange)


if __name__ == "__main__":
    main()
