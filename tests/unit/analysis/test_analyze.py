"""Analysis: positions and sizes in nm, crops on the right particles, honest remarks, and folders that go on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facetem.analysis.analyze import analyze
from facetem.analysis.page import page
from facetem.core.errors import InputError
from facetem.data.micrograph import Micrograph, save_image
from facetem.learn.matter import Matter

Discs = list[tuple[float, float, float]]


@pytest.fixture
def networks(classifier: Any, restorer: Any) -> dict[str, Any]:
    return {"classifier": classifier, "restorer": restorer}


def test_particles_are_where_they_are_and_as_large_as_they_are(
    micrograph: Micrograph, discs: Discs, networks: dict[str, Any]
) -> None:
    found = analyze(micrograph, **networks).particles
    assert len(found) == 4
    for x, y, d in discs[:3]:
        (near,) = [p for p in found if np.hypot(p.x_nm - x, p.y_nm - y) < 0.1]
        assert near.diameter_nm == pytest.approx(d, rel=0.03)
        assert near.feret_nm == pytest.approx(d, rel=0.05)
        assert not near.cut_by_edge


def test_verdicts_come_from_the_crops_of_the_particles(
    micrograph: Micrograph, networks: dict[str, Any], classifier: Any
) -> None:
    found = analyze(micrograph, **networks).particles
    assert [p.verdict for p in found] == ["cube", "icosahedron", "none of these", "not judged"]
    (batch,) = classifier.batches
    assert batch.shape == (4, 256, 256)
    assert (batch[:, 118:138, 118:138] < 80).mean() > 0.9  # a particle in the middle of each
    assert found[2].shape == "icosahedron"  # what it resembles most is kept
    assert not found[2].known


def test_the_field_is_on_the_networks_pixels(micrograph: Micrograph, networks: dict[str, Any]) -> None:
    analysis = analyze(micrograph, **networks)
    for image in (analysis.field, analysis.restored, analysis.spread, analysis.mask):
        assert image.shape == (650, 625)
    assert analysis.sampling == 0.4
    assert analysis.provenance["classifier"]["weights"] == "fake classifier"


@pytest.mark.parametrize(("x", "judged", "remark"), [(2.9, True, "touches"), (0.5, False, "cut through")])
def test_a_particle_at_the_edge_is_judged_only_if_nearly_whole(
    x: float, judged: bool, remark: str, networks: dict[str, Any]
) -> None:
    yy, xx = (np.mgrid[:400, :400] + 0.5) * 0.04
    image = 100 + np.random.default_rng(2).normal(0, 4, xx.shape) - 45.0 * (np.hypot(xx - x, yy - 8) < 3)
    (cut,) = analyze(image, sampling=0.4, **networks).particles
    assert cut.cut_by_edge
    assert cut.judged is judged
    assert cut.known is judged
    assert remark in cut.remarks[0]


@pytest.mark.parametrize(("diameter", "known", "remark"), [(2.9, True, "outside"), (13.0, False, "larger")])
def test_what_the_classifier_cannot_judge_is_said(
    diameter: float, known: bool, remark: str, classifier: Any, restorer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    y, x = (np.mgrid[:500, :500] + 0.5) * 0.04 - 10
    image = 100 + np.random.default_rng(2).normal(0, 4, x.shape) - 45.0 * (np.hypot(x, y) < diameter / 2)
    monkeypatch.setattr(classifier, "one", lambda area: type(classifier).one(classifier, 1.0))
    (particle,) = analyze(image, sampling=0.4, classifier=classifier, restorer=restorer).particles
    assert particle.known is known
    assert len(particle.remarks) == 1
    assert remark in particle.remarks[0]


def test_an_empty_field_has_no_particles(networks: dict[str, Any]) -> None:
    empty = np.random.default_rng(0).normal(100, 4, (300, 300))
    analysis = analyze(empty, sampling=0.4, **networks)
    assert analysis.particles == []


def test_an_array_needs_a_pixel_size(networks: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="give sampling="):
        analyze(np.ones((300, 300)), **networks)


def test_progress_is_told(micrograph: Micrograph, networks: dict[str, Any]) -> None:
    told: list[tuple[str, int, int]] = []
    analyze(micrograph, **networks, progress=lambda *step: told.append(step))
    assert [step for step, _, _ in told] == ["read", "restore", "classify"]
    assert told[-1] == ("classify", 4, 4)


def test_a_file_is_traced(tmp_path: Path, micrograph: Micrograph, networks: dict[str, Any]) -> None:
    import hashlib

    path = tmp_path / "a.tif"
    save_image(path, micrograph.image, micrograph.sampling)
    provenance = analyze(path, **networks).provenance
    assert provenance["file"] == str(path)
    assert provenance["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_restored_lattice_that_the_image_does_not_have_is_remarked_on(
    micrograph: Micrograph, discs: Discs, classifier: Any, restorer: Any
) -> None:
    """Fringes in the left half of the restored field only; the micrograph has none anywhere."""
    x = 0.4 * np.arange(625)
    fringes = np.where(x < 130, 10 * np.cos(2 * np.pi * x / 2.35), 0)
    found = analyze(micrograph, classifier=classifier, restorer=type(restorer)(fringes))
    told = {
        p.index: any("no support in the image" in remark for remark in p.remarks) for p in found.particles
    }
    left = {p.index: p.x_nm < 12 for p in found.particles}
    assert told == left
    assert found.support.suspect.any()
    plain = analyze(micrograph, classifier=classifier, restorer=restorer)
    assert not any("support" in remark for p in plain.particles for remark in p.remarks)


def test_a_pixel_size_that_the_lattice_contradicts_is_said(
    micrograph: Micrograph, restorer: Any, classifier: Any
) -> None:
    """Discs with the {111} and {200} fringes of gold, as they would be with pixels 10 % smaller than stated: of one
    particle too."""
    y, x = np.indices(micrograph.image.shape) * micrograph.sampling
    for wrong, disagrees in ((1.0, False), (1.1, True)):
        fringes = sum(
            np.cos(2 * np.pi * (y * np.sin(turn) + x * np.cos(turn)) / (d * wrong))
            for d, turn in ((2.355, 0.2), (2.355, 1.43), (2.039, 0.82))
        )
        image = micrograph.image + 6 * fringes * (micrograph.image < 80)
        found = analyze(image, sampling=micrograph.sampling, classifier=classifier, restorer=restorer)
        assert found.scale is not None
        assert found.scale.disagrees == disagrees
        assert found.scale.ratio == pytest.approx(1 / wrong, abs=0.01)
        assert ("--sampling-nm 0.0455" in found.warning) == disagrees
        seen = [d for p in found.particles for d in p.spacings_nm]
        assert any(abs(d / (0.2355 * wrong) - 1) < 0.01 for d in seen)
        assert ("which the lattice contradicts" in page(found)) == disagrees
        assert ("which the lattice agrees with (0.2" in page(found)) == (not disagrees)
        of_one = analyze(
            image[:300, :240], sampling=micrograph.sampling, classifier=classifier, restorer=restorer
        )
        assert len(of_one.particles) == 1
        assert of_one.scale is not None
        assert (of_one.scale.disagrees, of_one.scale.agrees) == (disagrees, not disagrees)


def test_where_no_lattice_is_clear_enough_the_pixel_size_is_said_to_be_unchecked(
    micrograph: Micrograph, networks: dict[str, Any]
) -> None:
    found = analyze(micrograph, **networks)
    assert found.scale is None
    assert "not checked: no lattice is clear enough" in page(found)
    assert found.warning == ""


def test_an_inverted_image_is_suspected_where_its_negative_shows_particles(
    micrograph: Micrograph, networks: dict[str, Any]
) -> None:
    bright = analyze(200 - micrograph.image, sampling=micrograph.sampling, **networks)
    assert bright.particles == []
    assert bright.inverted
    assert "the contrast may be inverted" in bright.warning
    empty = np.random.default_rng(0).normal(100, 4, (300, 300))
    found = analyze(empty, sampling=0.4, **networks)
    assert (found.particles, found.inverted, found.warning) == ([], False, "")
    assert not analyze(micrograph, **networks).inverted


def test_a_report_names_the_metal_that_its_classifier_has_learnt(
    micrograph: Micrograph, networks: dict[str, Any]
) -> None:
    """Its sizes too: of 2 to 3 nm all of these discs are too large."""
    networks["classifier"].matter = Matter(("Pt",), (20.0, 30.0))
    analysis = analyze(micrograph, **networks)
    assert analysis.learnt.metal == "platinum"
    whole = [p for p in analysis.particles if p.judged and not p.cut_by_edge]
    assert whole
    assert all("outside the 2 to 3 nm of the training" in p.remarks for p in whole)
    assert "images of platinum" in page(analysis)
