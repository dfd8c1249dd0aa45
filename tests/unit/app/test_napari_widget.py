"""The dock widget at work, where napari is installed."""

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("napari", exc_type=ImportError)
pytestmark = pytest.mark.filterwarnings("ignore")  # those of napari's own packages

SIDE = 256


@pytest.fixture(scope="module")
def application() -> Any:
    from qtpy.QtWidgets import QApplication  # pyright: ignore[reportMissingImports]

    return QApplication.instance() or QApplication([])


@pytest.fixture
def viewer(application: Any) -> Any:
    from napari.components import ViewerModel  # pyright: ignore[reportMissingImports]

    return ViewerModel()


@pytest.fixture
def widget(viewer: Any) -> Any:
    from facetem.app.napari.widget import AnalyseWidget

    return AnalyseWidget(viewer)


@pytest.fixture
def image() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] * 0.04
    image = 100 + np.random.default_rng(0).normal(0, 2, x.shape)
    return (image - 30 * (np.hypot(y - 5, x - 6) < 2.5)).astype(np.float32)


def wait(application: Any, ended: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not ended() and time.monotonic() < end:
        application.processEvents()
        time.sleep(0.01)
    assert ended()


def test_offers_images_and_reads_their_scale(viewer: Any, widget: Any, image: np.ndarray) -> None:
    assert not widget.run.isEnabled()
    viewer.add_image(image, name="bare")
    assert widget.run.isEnabled()
    assert widget.pixel.value() == 0  # not known
    viewer.add_image(image, name="scaled", scale=(0.4, 0.4), units=("angstrom", "angstrom"))
    viewer.add_labels(np.zeros((8, 8), dtype=int))
    assert widget.layer.count() == 2
    widget.layer.setCurrentIndex(1)
    assert widget.pixel.value() == pytest.approx(0.04)


def test_bad_input_is_one_line_in_the_panel(viewer: Any, widget: Any, image: np.ndarray) -> None:
    viewer.add_image(image, name="bare")
    widget.start()
    assert "expected a positive pixel size" in widget.status.text()
    assert widget.run.isEnabled()


def test_analysis_becomes_layers_and_rows(
    application: Any, viewer: Any, widget: Any, image: np.ndarray
) -> None:
    viewer.add_image(image, name="gold", translate=(100, 200), scale=(0.04, 0.04), units=("nm", "nm"))
    for _ in range(2):  # the second replaces the layers of the first
        widget.start()
        assert not widget.run.isEnabled()
        wait(application, lambda: widget.run.isEnabled())
    assert [layer.name for layer in viewer.layers] == ["gold", "gold, restored", "gold, particles"]
    assert widget.layer.count() == 1  # a restored image is not offered to be restored
    labels = viewer.layers["gold, particles"]
    assert set(np.unique(labels.data)) == {0, *range(1, widget.table.rowCount() + 1)}
    assert tuple(labels.translate) == pytest.approx((100, 200))
    assert len(labels.features) == widget.table.rowCount() + 1
    if widget.table.rowCount():
        widget.table.selectRow(0)
        particle = widget.analysis.particles[0]
        assert viewer.camera.center[-2:] == pytest.approx(
            (100 + particle.y_nm, 200 + particle.x_nm), abs=0.05
        )


def test_cancel_stops_it(application: Any, viewer: Any, widget: Any, image: np.ndarray) -> None:
    viewer.add_image(np.tile(image, (3, 3)), name="gold", scale=(0.04, 0.04), units=("nm", "nm"))
    widget.start()
    widget.cancel.click()
    wait(application, lambda: widget.run.isEnabled())
    assert widget.status.text() == "Stopped."
    assert len(viewer.layers) == 1


def test_of_a_stack_the_image_that_is_shown_is_analysed(viewer: Any, image: np.ndarray) -> None:
    from facetem.app.napari.widget import micrograph_of_layer

    layer = viewer.add_image(np.stack([image, image[::-1], image.T]), name="stack", scale=(2, 0.04, 0.04))
    for k, shown in enumerate((image, image[::-1], image.T)):
        viewer.dims.set_point(0, 2 * k)
        assert (
            np.corrcoef(micrograph_of_layer(layer, 0.04, viewer.dims.point).image.flat, shown.flat)[0, 1]
            > 0.99
        )
