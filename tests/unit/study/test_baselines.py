"""Baselines on lattices whose answer is known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from facetem.atoms.shapes import SHAPES
from facetem.core.pixels import PIXEL
from facetem.data.samples import Batch
from facetem.study.baselines import (
    AZIMUTHS,
    baseline_scores,
    polar_spectra,
    spectrum_features,
    template_votes,
)

SIDE = 128


def lattice(spacings: tuple[float, ...], angles: tuple[float, ...], turn: float, seed: int) -> Tensor:
    """Fringes of spacings [Å] in directions [deg], all turned, on noise."""
    generator = torch.Generator().manual_seed(seed)
    y, x = (PIXEL * a for a in torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij"))
    image = 0.3 * torch.randn(SIDE, SIDE, generator=generator)
    for spacing, angle in zip(spacings, angles, strict=True):
        way, phase = math.radians(angle + turn), float(torch.rand(1, generator=generator))
        image += torch.cos(2 * torch.pi * ((x * math.cos(way) + y * math.sin(way)) / spacing + phase))
    return image


KINDS = {0: ((2.35, 2.35), (0.0, 70.5)), 3: ((2.04, 2.04), (0.0, 90.0)), 7: ((2.35, 2.04), (0.0, 54.7))}


def drawn(n: int, seed: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    labels = [list(KINDS)[i % len(KINDS)] for i in range(n)]
    images = [lattice(*KINDS[k], float(rng.uniform(0, 360)), seed * 1000 + i) for i, k in enumerate(labels)]
    return torch.stack(images), torch.tensor(labels)


def test_a_fringe_lies_on_its_ring_at_its_azimuth() -> None:
    spectrum = polar_spectra(lattice((2.5,), (30.0,), 0.0, 0)[None])[0]
    ring, azimuth = divmod(int(spectrum.argmax()), AZIMUTHS)
    radius = np.linspace(0.15, 1.1, spectrum.shape[0])[ring]
    assert radius == pytest.approx(1 / 2.5, abs=0.02)
    assert 180 * azimuth / AZIMUTHS == pytest.approx(30, abs=3)


def test_features_stay_under_turns_and_mirrors() -> None:
    image = lattice(*KINDS[7], 12.0, 3)
    views = torch.stack([image, image.rot90(1), image.flip(-1), image.flip(0).rot90(1)])
    first, *others = spectrum_features(polar_spectra(views))
    other = spectrum_features(polar_spectra(lattice(*KINDS[3], 12.0, 3)[None]))[0]
    for view in others:
        assert np.linalg.norm(view - first) < 0.2 * np.linalg.norm(other - first)


def test_nearest_templates_know_a_lattice_at_any_turn() -> None:
    library, labels = drawn(24, 1)
    asked, wanted = drawn(12, 2)
    votes = template_votes(polar_spectra(library), labels, polar_spectra(asked))
    assert votes.argmax(1).tolist() == wanted.tolist()
    np.testing.assert_allclose(votes.sum(1), 1)


def test_baselines_learn_what_can_be_learnt_and_nothing_else() -> None:
    pytest.importorskip("sklearn")
    library, labels = drawn(90, 3)
    asked, wanted = drawn(30, 4)
    scores = baseline_scores(batch(library, labels), batch(asked, wanted))
    assert set(scores) == {"logistic regression", "gradient boosting", "nearest templates"}
    for name, score in scores.items():
        assert score.accuracy > 0.9, name
        assert score.family_accuracy >= score.accuracy - 1e-6
    generator = torch.Generator().manual_seed(0)
    shuffled = labels[torch.randperm(len(labels), generator=generator)]
    for name, score in baseline_scores(batch(library, shuffled), batch(asked, wanted)).items():
        assert score.accuracy < 0.75, name


def batch(images: Tensor, labels: Tensor) -> Batch:
    n = torch.zeros(len(images))
    return Batch(
        images, images, images, images, images, labels, n, n, n, n, torch.eye(3).repeat(len(n), 1, 1), n
    )


def test_classes_are_those_of_the_network() -> None:
    votes = template_votes(
        polar_spectra(drawn(3, 1)[0]), torch.tensor([0, 3, 7]), polar_spectra(drawn(3, 1)[0])
    )
    assert votes.shape == (3, len(SHAPES))
