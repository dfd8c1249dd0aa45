"""Which residual blocks of the classifier earn the time they take?

    python benchmarks/pruning.py look SET.pt --images FOLDER                      # each block alone left out
    python benchmarks/pruning.py look SET.pt --images FOLDER --without 10 16      # these together
    python benchmarks/pruning.py keep -o OUT --images FOLDER --without 10 16      # weights without them, calibrated

`SET.pt` holds images of the split `validation`, such as `keep` leaves in the folder `--images`. A block is called by
its place among the layers of the network's `features`. Leaving it out moves the probabilities (total variation), saves
arithmetic, and costs accuracy or does not. The statistics of the normalisations after it are then counted anew
(Izmailov et al., Averaging weights leads to wider optima and better generalization, UAI 2018), on images of the split
`train`: without that, what passes by the block would have another scale than the layers after it expect.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from facetem.app.held_out import HeldOut
from facetem.app.train import SPREAD_IMAGES
from facetem.data.recipe_file import shipped_recipe
from facetem.data.samples import Batch
from facetem.learn.classifier import Residual, ShapeClassifier
from facetem.learn.growth import without
from facetem.learn.normalise import normalise
from facetem.learn.predictor import Classifier
from facetem.learn.release import release_classifier, release_restorer
from facetem.learn.restorer import ContrastRestorer
from facetem.learn.weights_file import load_network

COUNTED, BATCH = 400, 32  # images that statistics are counted on, so many at once


def look(arguments: argparse.Namespace) -> None:
    """Print what leaving blocks out changes, and how much arithmetic it saves."""
    images = Batch(**torch.load(arguments.set, weights_only=True)).first(arguments.n).known()
    trained = training_images(arguments)
    model = load_network(arguments.classifier, ShapeClassifier)[0].eval()
    whole, work = probabilities(model, images), arithmetic(model)
    print(f"nothing left out: accuracy {accuracy(whole, images):.4f} of {len(whole)}, {work / 1e9:.2f} GFLOP")
    blocks = [i for i, layer in enumerate(model.features) if isinstance(layer, Residual)]
    for some in [arguments.without] if arguments.without else [[block] for block in blocks]:
        less = counted_anew(without(model, some), trained)
        told = probabilities(less, images)
        apart = float((told - whole).abs().sum(1).mean() / 2)
        print(
            f"without {', '.join(map(str, some))}: accuracy {accuracy(told, images):.4f}, probabilities moved by "
            f"{apart:.3f}, arithmetic less by {1 - arithmetic(less) / work:.3f}",
            flush=True,
        )


def training_images(arguments: argparse.Namespace) -> Tensor:
    """Images (n, y, x) such as the networks are trained on."""
    recipe = shipped_recipe("au-4-8nm")
    return HeldOut(recipe, "train", COUNTED).images(arguments.images, "cpu").noisy


def counted_anew(model: ShapeClassifier, images: Tensor) -> ShapeClassifier:
    """The network, with the normalisation statistics of these images (n, y, x)."""
    update_bn((normalise(some.float()) for some in images.split(BATCH)), model)
    return model.eval()


def probabilities(model: ShapeClassifier, images: Batch) -> Tensor:
    """Of the mean answer to all views (n, classes), not calibrated."""
    return torch.softmax(Classifier(model).answers(images.noisy.numpy()).logits, dim=1)


def accuracy(told: Tensor, images: Batch) -> float:
    return float((told.argmax(1) == images.labels).double().mean())


def arithmetic(model: ShapeClassifier, side: int = 256) -> float:
    """Floating-point operations of the convolutions for one view."""
    total = 0.0

    def count(layer: nn.Module, _: object, result: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        total += 2.0 * layer.weight.numel() * result[0, 0].numel()

    hooks = [part.register_forward_hook(count) for part in model.modules() if isinstance(part, nn.Conv2d)]
    with torch.inference_mode():
        model.classify(torch.zeros(1, 1, side, side))
    for hook in hooks:
        hook.remove()
    return total


def keep(arguments: argparse.Namespace) -> None:
    """Write the weights without the blocks, calibrated as `facetem train release` does it; the restorer's too."""
    arguments.output.mkdir(parents=True, exist_ok=True)
    stated, familiar = (
        HeldOut(shipped_recipe(name), "validation", arguments.n).images(arguments.images, "cpu")
        for name in ("au-4-8nm-test", "au-4-8nm")
    )
    model, header, _ = load_network(arguments.classifier, ShapeClassifier)
    release_classifier(
        counted_anew(without(model, arguments.without), training_images(arguments))
        if arguments.without
        else model,
        arguments.output / "classifier.safetensors",
        calibration=stated,
        familiar=familiar,
        training=told(header["training"], arguments.without),
    )
    restorer, header, _ = load_network(arguments.restorer, ContrastRestorer)
    release_restorer(
        restorer,
        arguments.output / "restorer.safetensors",
        calibration=stated.first(SPREAD_IMAGES),
        training=header["training"],
    )


def told(training: dict[str, object], blocks: Sequence[int]) -> dict[str, object]:
    """How the weights came about, with what was left out of them."""
    return (
        {**training, "left out": f"{len(blocks)} residual blocks that hardly did anything"}
        if blocks
        else training
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    looking, keeping = commands.add_parser("look"), commands.add_parser("keep")
    looking.add_argument("set", type=Path)
    looking.set_defaults(run=look)
    keeping.add_argument("--restorer", type=Path)
    keeping.add_argument("-o", "--output", type=Path, required=True)
    keeping.set_defaults(run=keep)
    for one in (looking, keeping):
        one.add_argument("--images", type=Path, required=True, help="folder of images, made if not there")
        one.add_argument("--without", type=int, nargs="*", default=[])
        one.add_argument("--classifier", type=Path)
        one.add_argument("--n", type=int, default=800, help="images to look at, or to calibrate on")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
