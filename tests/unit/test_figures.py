"""Figures: they draw what they are given, leave no state behind, and their statistics are right."""

import io
import subprocess
import sys

import numpy as np
import pytest
from imageio.v3 import imread
from matplotlib.figure import Figure

from facetem import figures


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).normal(1, 0.1, (120, 160)).astype(np.float32)


def drawn(figure: Figure) -> np.ndarray:
    """The figure as pixels; every figure has to render without a warning."""
    pixels = np.asarray(imread(io.BytesIO(figures.png(figure, dpi=50))))
    assert pixels[..., :3].std() > 5
    return pixels


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_overview(image: np.ndarray) -> None:
    contour = np.array([[20.0, 20.0], [20.0, 60.0], [60.0, 60.0], [20.0, 20.0]])
    marks = [figures.Mark(contour, (35.0, 45.0), "17", figures.PALETTE[5])]
    with_marks = figures.overview(image, image, 2.0, marks, {"cube": figures.PALETTE[5]})
    assert texts(with_marks).count("17") == 2  # on the micrograph and on the restored image
    assert texts(with_marks).count("5 nm") == 2
    pixels = drawn(with_marks)[..., :3].astype(int)
    orange = (np.abs(pixels - [0xD5, 0x5E, 0x00]).sum(-1) < 40).sum()
    assert orange > 20
    bare = drawn(figures.overview(image, image, 2.0, [], {}))[..., :3].astype(int)
    assert (np.abs(bare - [0xD5, 0x5E, 0x00]).sum(-1) < 40).sum() == 0


def test_restorations_show_the_error_on_the_levels_of_the_spread(image: np.ndarray) -> None:
    figure = figures.restorations([(image, image, 0 * image, image + 0.2), (image, image, image, image)], 0.4)
    assert len(figure.axes) == 10
    assert texts(figure).count("|error|") == 1
    spread, error = (axes.images[0] for axes in figure.axes[2:4])
    assert spread.get_clim() == error.get_clim() == pytest.approx((0, 0.2))
    assert np.asarray(error.get_array()) == pytest.approx(0.2)
    drawn(figure)


def test_saliency_is_drawn_where_it_is_strong_and_nowhere_if_there_is_none(image: np.ndarray) -> None:
    weight = np.zeros_like(image)
    weight[40:80, 60:100] = 1
    coloured = []
    for strength in (weight, 0 * weight):
        pixels = drawn(figures.saliency_overlay(image, strength, 0.4, "what decided"))[..., :3].astype(int)
        coloured.append(int((np.ptp(pixels, axis=-1) > 40).sum()))
    assert coloured[0] > 1000
    assert coloured[1] == 0


@pytest.mark.parametrize("n", [1, 4])
def test_gallery(image: np.ndarray, n: int) -> None:
    cards = [
        figures.Card(f"{i}  cube", image, image, {"cube": 0.7, "twin": 0.3}, "#D55E00") for i in range(n)
    ]
    figure = figures.gallery(cards, 0.4)
    assert texts(figure).count("twin") == n
    drawn(figure)
    drawn(figures.gallery([figures.Card("1  not judged", image, image, {}, figures.PALE)], 0.4))


@pytest.mark.parametrize(
    "values", [{}, {"cube": [5.0]}, {"cube": [4.0, 7.9, 5.2], "twin": [], "none of these": [30.0]}]
)
def test_size_histogram_counts_every_particle(values: dict[str, list[float]]) -> None:
    figure = figures.size_histogram(values, {"cube": "#D55E00"})
    bars = [patch.get_height() for patch in figure.axes[0].patches]
    assert sum(bars) == sum(len(v) for v in values.values())
    figures.png(figure)


def test_confusion_matrix_shows_counts_and_recall() -> None:
    figure = figures.confusion_matrix([[8, 2], [5, 5]], ["cube", "twinned_cube"])
    found = texts(figure)
    assert {"8", "2", "5", "cube  80%", "twinned cube  50%"} <= set(found)
    drawn(figure)


def test_reliability_puts_an_honest_classifier_on_the_diagonal() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 4000)
    figure = figures.reliability(confidence, rng.random(4000) < confidence)
    points = np.concatenate([c.get_offsets() for c in figure.axes[0].collections])
    assert len(points) == 7
    assert np.abs(points[:, 0] - points[:, 1]).max() < 0.06
    drawn(figure)
    with pytest.raises(ValueError, match="must be"):
        figures.reliability([0.5, 0.6], [True])


def test_accuracy_against_follows_the_data() -> None:
    x = np.linspace(0, 6, 600)
    figure = figures.accuracy_against(x, x < 3, "film thickness (nm)", bins=6)
    levels = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_linewidth() == 2.5]
    assert levels == [1, 1, 1, 0, 0, 0]
    drawn(figure)


def test_before_after_shares_grey_levels_between_restored_and_target(image: np.ndarray) -> None:
    figure = figures.before_after(image * 3, image * 2, image, 0.4)
    limits = [axes.images[0].get_clim() for axes in figure.axes]
    assert limits[1] == limits[2] == figures.display_range(image)
    drawn(figure)
    assert len(figures.before_after(np.stack([image] * 2), np.stack([image] * 2), None, 0.4).axes) == 4


def test_training_curves() -> None:
    loss = np.linspace(3, 1, 48)
    figure = figures.training_curves(list(range(48)), {"loss": loss, "accuracy": [0.6] * 48})
    for axes, name, values in zip(figure.axes, ("loss", "accuracy"), (loss, np.full(48, 0.6)), strict=False):
        each, mean = axes.lines
        assert axes.get_ylabel() == name
        np.testing.assert_allclose(each.get_ydata(), values)
        np.testing.assert_allclose(
            mean.get_ydata()[5:-5], values[5:-5], atol=0.05
        )  # not pulled down at the ends
        np.testing.assert_allclose(mean.get_ydata()[[0, -1]], values[[0, -1]], atol=0.15)
    drawn(figure)


def test_methods_are_told_apart_without_colour() -> None:
    figure = figures.methods_against(
        [-1, 0, 1], {"raw": [1, 2, 1], "filter": [2, 3, 2], "restored": [5, 5, 5]}, x_label="nm", y_label="dB"
    )
    lines = figure.axes[0].lines
    assert len({line.get_marker() for line in lines}) == 3
    assert lines[-1].get_linewidth() > 2 * lines[0].get_linewidth()
    drawn(figure)


def test_grey_png_uses_its_levels() -> None:
    ramp = np.linspace(0, 10, 11)[None].repeat(3, 0)
    pixels = np.asarray(imread(io.BytesIO(figures.grey_png(ramp, (2, 8)))))
    assert pixels[0, :3].tolist() == [0, 0, 0]
    assert pixels[0, 8:].tolist() == [255, 255, 255]
    assert pixels[0, 5] == 128


def test_a_field_is_reduced_without_moire_and_what_is_marked_stays_in_its_place() -> None:
    """A lattice finer than the new pixels is gone, a coarse one and the mean are there."""
    x = np.arange(2700, dtype=np.float32)
    fine, coarse = (1 + 0.5 * np.cos(2 * np.pi * x / period) * np.ones((900, 1)) for period in (4.3, 40.0))
    shown = [
        np.asarray(imread(io.BytesIO(figures.grey_png(part, (0, 2), widest=900)))) for part in (fine, coarse)
    ]
    assert shown[0].shape == shown[1].shape == (300, 900)
    inner = [part[:, 10:-10].astype(float) / 127.5 for part in shown]
    assert inner[0] == pytest.approx(
        1, abs=0.03
    )  # averages of three pixels would leave 0.5 sinc(3 / 4.3) = 0.19
    assert inner[1].std() == pytest.approx(0.5 / np.sqrt(2), rel=0.03)
    figure = figures.overview(fine, fine, 0.4, [], {})
    axes = figure.axes[0]
    assert axes.images[0].get_array().shape == (400, 1200)
    assert axes.get_xlim() == (-0.5, 2699.5)
    assert axes.get_ylim() == (899.5, -0.5)


@pytest.mark.parametrize(("width", "length"), [(40, 5), (26, 5), (101, 20), (9.9, 1), (10, 2)])
def test_scale_bars_have_round_lengths(width: float, length: float) -> None:
    assert figures.bar_length(width) == pytest.approx(length)


def test_a_constant_image_can_be_shown() -> None:
    figures.grey_png(np.ones((8, 8)))
    drawn(figures.before_after(np.ones((80, 80)), np.zeros((80, 80)), None, 0.4))


def test_pyplot_is_never_imported() -> None:
    """Its global state would leak between reports. A process of its own: other tests' libraries import it."""
    code = "import sys, numpy as np; from facetem import figures; figures.confusion_matrix(np.eye(2), ['a', 'b'])"
    check = "; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code + check], check=True)


def test_a_contact_sheet_has_a_panel_for_each_image() -> None:
    images = [np.random.default_rng(i).random((30, 30)) for i in range(5)]
    figure = figures.contact_sheet(images, [f"number {i}" for i in range(5)], 2.0, columns=3)
    assert len([axes for axes in figure.axes if axes.images]) == 5
    assert {f"number {i}" for i in range(5)} <= set(texts(figure))
    drawn(figure)


def test_parameters_are_counted_as_what_they_are() -> None:
    """Names and few numbers as bars that add up, many numbers binned."""
    rng = np.random.default_rng(0)
    columns = {
        "film": ["none"] * 3 + ["random"] * 9,
        "energy": [80.0] * 4 + [300.0] * 8,
        "size": rng.random(12),
    }
    figure = figures.parameter_histograms(columns)
    film, energy, size = figure.axes[:3]
    assert sorted(patch.get_width() for patch in film.patches) == [3, 9]
    assert sorted(patch.get_height() for patch in energy.patches) == [4, 8]
    assert len(size.patches) == 20
    assert sum(patch.get_height() for patch in size.patches) == 12
    drawn(figure)
