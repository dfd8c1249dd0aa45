"""Which network learns shapes fastest: three trunks, the same time, data, heads and losses.

    for name in residual convnext spectrum; do
        python benchmarks/architectures.py STORE -o FOLDER --network $name --minutes 10 --threads 1 &
    done; wait                                          # side by side, so that all have the same share of the machine
    python benchmarks/architectures.py STORE -o FOLDER  # compare those that are there

`residual` is the package's own; `convnext` has its stages made of ConvNeXt blocks (Liu et al., A ConvNet for the 2020s,
CVPR 2022): 7 x 7 depthwise, normalised, 1 x 1 wider and back; `spectrum` is the residual one with a second, smaller
trunk that sees the logarithm of the image's power spectrum. Held-out images are those of the standard test's split
`validation`.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from facetem.data.recipe_file import shipped_recipe
from facetem.data.samples import draw_set
from facetem.data.sources import StoreSource
from facetem.learn.classifier import FOLD, Answer, ClassifierConfig, Picture, Residual, ShapeClassifier
from facetem.learn.normalise import normalise
from facetem.learn.predictor import Classifier
from facetem.learn.training import CLASSIFIER_PLAN, ShapeTask, train


class NextBlock(nn.Module):
    """x + wider(norm(depthwise(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.across = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.BatchNorm2d(width)  # as the residual one, so that this is not what is compared
        self.wider, self.back = nn.Conv2d(width, 4 * width, 1), nn.Conv2d(4 * width, width, 1)
        self.scale = nn.Parameter(torch.full((width, 1, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.back(functional.gelu(self.wider(self.norm(self.across(x)))))


class NextClassifier(ShapeClassifier):
    """The stages of ConvNeXt blocks."""

    def __init__(self, config: ClassifierConfig | None = None) -> None:
        super().__init__(config)
        for i, layer in enumerate(self.features):
            if isinstance(layer, Residual):
                self.features[i] = NextBlock(layer.width)


class SpectrumClassifier(ShapeClassifier):
    """A trunk for the image and one for its power spectrum, pooled together."""

    def __init__(self, config: ClassifierConfig | None = None) -> None:
        super().__init__(config)
        wide = 2 * self.config.widths[-1]
        beside = ClassifierConfig(widths=(16, 32, 64, 96), depths=(1, 1, 1, 1))
        self.beside = ShapeClassifier(beside).features
        self.join = nn.Linear(2 * beside.widths[-1], wide)

    def _spectrum(self, images: Tensor) -> Tensor:
        """The logarithm of the power (n, 1, y / 2, x / 2) up to half of Nyquist (0.63 / Å): normalised."""
        n = images.shape[-1]
        window = torch.hann_window(n, device=images.device)
        power = torch.fft.fft2(images.float() * window[:, None] * window).abs().square()
        power = torch.fft.fftshift(power, dim=(-2, -1))[..., n // 4 : -n // 4, n // 4 : -n // 4]
        return normalise(torch.log(power + 1e-3 * power.mean((-2, -1), keepdim=True))[:, 0])

    def _with_spectrum(self, answer: Answer, images: Tensor) -> Answer:
        beside = self.pool(self.beside(functional.pixel_unshuffle(self._spectrum(images), FOLD)))
        return self.read(images, answer.features + self.join(beside), answer.refusal)

    def classify(self, images: Tensor) -> Answer:
        return self._with_spectrum(super().classify(images), images)

    def forward(self, images: Tensor) -> tuple[Answer, Picture]:
        answer, picture = super().forward(images)
        return self._with_spectrum(answer, images), picture


NETWORKS = {"residual": ShapeClassifier, "convnext": NextClassifier, "spectrum": SpectrumClassifier}


def score(model: ShapeClassifier, held: Path, n: int) -> dict[str, float]:
    if held.exists():
        images, labels = torch.load(held, weights_only=True)
    else:
        batch = draw_set(shipped_recipe("au-4-8nm-test"), split="validation", n=n)
        images, labels = batch.noisy, batch.labels
        torch.save((images, labels), held)
    logits = Classifier(model.eval()).answers(images.numpy()).logits
    return {
        "accuracy": float((logits.argmax(1) == labels).float().mean()),
        "nll": float(functional.cross_entropy(logits, labels)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--network", choices=NETWORKS)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--n", type=int, default=200, help="held-out images")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.output.mkdir(parents=True, exist_ok=True)
    if given.network is None:
        columns = ("parameters", "samples", "accuracy", "nll", "orientation")
        print(f"| network | {' | '.join(columns)} |\n|{' --- |' * (1 + len(columns))}")
        for path in sorted(given.output.glob("*.json")):
            row = json.loads(path.read_text())
            print(f"| {path.stem} | {' | '.join(f'{row[c]:,.4g}' for c in columns)} |")
        return
    torch.manual_seed(0)
    task = ShapeTask(NETWORKS[given.network]())
    plan = replace(CLASSIFIER_PLAN, minutes=given.minutes, batch=16, ease=0.25)
    model = train(task, StoreSource(given.store), plan, given.output / given.network)
    assert isinstance(model, ShapeClassifier)
    lines = (given.output / given.network / "classifier-history.jsonl").read_text().splitlines()
    last = [json.loads(line) for line in lines[-10:]]
    result = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "samples": plan.batch * last[-1]["step"],
        "orientation": sum(row["orientation"] for row in last) / len(last),
        **score(model, given.output / "held-out.pt", given.n),
    }
    (given.output / f"{given.network}.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
