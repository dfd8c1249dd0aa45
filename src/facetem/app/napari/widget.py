"""The dock widget "Analyse particles": choose a layer, run, look at labels and table, save the report."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image  # pyright: ignore[reportMissingImports]
from napari.qt.threading import thread_worker  # pyright: ignore[reportMissingImports]
from napari.utils.colormaps import DirectLabelColormap  # pyright: ignore[reportMissingImports]
from qtpy.QtCore import QObject, Qt, Signal  # pyright: ignore[reportMissingImports]
from qtpy.QtWidgets import (  # pyright: ignore[reportMissingImports]
    QAbstractItemView,
    QApplication,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from facetem.analysis.analyze import Analysis, analyze
from facetem.analysis.report import save_analysis, verdict_colours
from facetem.app.command import Device, one_line
from facetem.app.napari.layers import COLUMNS, centres, label_colours, result_layers, table_rows
from facetem.app.napari.reader import Layer
from facetem.core.words import number
from facetem.data.micrograph import Micrograph, micrograph_from_array

RESULT = "facetem result"  # in the metadata of layers that an analysis made
OUTLINE = 4  # px: particles are outlined, for a colour would hide their lattice
_NM = {"nanometer": 1.0, "angstrom": 0.1, "micrometer": 1e3, "picometer": 1e-3, "millimeter": 1e6}


class Cancelled(Exception):  # noqa: N818 (no error)
    """The user has asked to stop."""


class _Teller(QObject):
    """Takes progress from the thread that works to the one that draws."""

    told = Signal(str, int, int)


class AnalyseWidget(QWidget):
    """Finds, names and restores the particles of an image layer, as `facetem analyze` does."""

    def __init__(self, napari_viewer: Any) -> None:  # napari hands the viewer to an argument of this name
        super().__init__()
        self._viewer = viewer = napari_viewer
        self._stop = threading.Event()
        self._worker: Any = None
        self.analysis: Analysis | None = None
        self._origin = (0.0, 0.0)
        self._labels: Any = None
        self._teller = _Teller()
        self._teller.told.connect(self._show_progress)
        self._build()
        QApplication.instance().aboutToQuit.connect(self._stop.set)
        for event in (
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
            viewer.layers.events.renamed,
        ):
            event.connect(self._list_layers)
        self._list_layers()

    def _build(self) -> None:
        self.layer, self.device = QComboBox(), QComboBox()
        self.layer.currentIndexChanged.connect(self._read_scale)
        self.device.addItems([device.value for device in Device])
        self.pixel = QDoubleSpinBox(decimals=5, minimum=0.0, maximum=0.1, singleStep=0.001)
        self.pixel.setSuffix(" nm/px")
        self.pixel.setSpecialValueText("not known")
        form = QFormLayout()
        form.addRow("Image", self.layer)
        form.addRow("Pixel size", self.pixel)
        form.addRow("Device", self.device)
        self.run, self.cancel, self.save = (
            QPushButton(text) for text in ("Analyse", "Cancel", "Save report…")
        )
        self.run.clicked.connect(self.start)
        self.cancel.clicked.connect(self._stop.set)
        self.save.clicked.connect(self._save)
        buttons = QHBoxLayout()
        for button in (self.run, self.cancel, self.save):
            buttons.addWidget(button)
        self.bar, self.status = QProgressBar(), QLabel()
        self.status.setWordWrap(True)
        self.table = _table()
        self.table.itemSelectionChanged.connect(self._look)
        self.setMinimumWidth(420)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.status)
        layout.addWidget(self.table, stretch=1)
        self._set_running(False)

    # Choosing

    def _list_layers(self, _: Any = None) -> None:
        """The image layers there are; results are not offered to be analysed again."""
        chosen = self.layer.currentData()
        self.layer.blockSignals(True)
        self.layer.clear()
        for layer in self._viewer.layers:
            if isinstance(layer, Image) and RESULT not in layer.metadata:
                self.layer.addItem(layer.name, layer)
        index = self.layer.findData(chosen)
        self.layer.setCurrentIndex(max(index, 0) if index >= 0 else self.layer.count() - 1)
        self.layer.blockSignals(False)
        if self.layer.currentData() is not chosen:
            self._read_scale()
        self._set_running(self._worker is not None)

    def _read_scale(self, _: Any = None) -> None:
        layer = self.layer.currentData()
        size = None if layer is None else pixel_size_nm(layer)
        self.pixel.setValue(0.0 if size is None else size)

    # Working

    def start(self) -> None:
        """Analyse the chosen layer in a thread."""
        layer = self.layer.currentData()
        if layer is None or self._worker is not None:
            return
        try:
            micrograph = micrograph_of_layer(layer, self.pixel.value(), self._viewer.dims.point)
        except ValueError as error:
            self._say(one_line(error))
            return
        self._origin = _calibrate(layer, self.pixel.value())
        self._stop.clear()
        self._say("")
        worker: Any = self._work(micrograph, self.device.currentText())
        self._worker = worker
        worker.returned.connect(lambda analysis: self._show(analysis, layer))
        worker.errored.connect(self._failed)
        worker.finished.connect(self._finished)
        self._set_running(True)
        worker.start()

    @thread_worker(ignore_errors=True)
    def _work(self, micrograph: Micrograph, device: str) -> Analysis:
        def tell(step: str, done: int, total: int) -> None:
            if self._stop.is_set():
                raise Cancelled
            self._teller.told.emit(step, done, total)

        return analyze(micrograph, device=device, progress=tell)

    def _show_progress(self, step: str, done: int, total: int) -> None:
        self.bar.setMaximum(total)
        self.bar.setValue(done)
        self.bar.setFormat(f"{step} %p %")

    def _failed(self, error: BaseException) -> None:
        self._say("Stopped." if isinstance(error, Cancelled) else one_line(error))

    def _finished(self) -> None:
        self._worker = None
        self._set_running(False)

    def _set_running(self, running: bool) -> None:
        self.run.setEnabled(not running and self.layer.count() > 0)
        self.cancel.setEnabled(running)
        self.save.setEnabled(not running and self.analysis is not None)
        self.bar.setVisible(running)

    # Showing

    def _show(self, analysis: Analysis, layer: Any) -> None:
        self.analysis = analysis
        _, added = [self._add(result) for result in result_layers(analysis, layer.name, self._origin)]
        self._labels = added
        added.contour = OUTLINE
        added.colormap = DirectLabelColormap(color_dict=label_colours(analysis))
        added.mouse_drag_callbacks.append(self._clicked)
        colours = verdict_colours(analysis)
        _fill(
            self.table, table_rows(analysis, self._origin), [colours[p.verdict] for p in analysis.particles]
        )
        found = len(analysis.particles)
        self._say(f"{number(found, 'particle')}. {analysis.warning}".strip())

    def _add(self, result: Layer) -> Any:
        """A layer of results, in the place of that of an earlier analysis."""
        data, told, kind = result
        layers = self._viewer.layers
        for old in [old for old in layers if old.name == told["name"] and RESULT in old.metadata]:
            layers.remove(old)
        told.setdefault("metadata", {})[RESULT] = True
        return getattr(self._viewer, f"add_{kind}")(data, **told)

    def _clicked(self, labels: Any, event: Any) -> None:
        """Choose the row of the particle under the mouse."""
        value = labels.get_value(event.position, world=True)
        for row in range(self.table.rowCount()):
            if value and self.table.item(row, 0).data(Qt.ItemDataRole.DisplayRole) == int(value):
                self.table.selectRow(row)

    def _look(self) -> None:
        """Bring the chosen particle to the middle of the view."""
        rows = self.table.selectionModel().selectedRows()
        if self.analysis is None or not rows:
            return
        index = self.table.item(rows[0].row(), 0).data(Qt.ItemDataRole.DisplayRole)
        number = [p.index for p in self.analysis.particles].index(index)
        camera = self._viewer.camera
        camera.center = (0.0, *centres(self.analysis, self._origin)[number])
        if self._labels is not None and self._labels in self._viewer.layers:
            self._labels.selected_label = index

    def _save(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for the report")
        if folder and self.analysis is not None:
            try:
                self._say(f"Written: {save_analysis(self.analysis, Path(folder))}")
            except ValueError as error:
                self._say(one_line(error))

    def _say(self, text: str) -> None:
        self.status.setText(text)


def micrograph_of_layer(layer: Any, pixel_nm: float, point: Sequence[float]) -> Micrograph:
    """The image of a layer, of a stack the one at `point` of the viewer, checked.

    Raises
    ------
    InputError
        If it or its pixel size [nm] cannot be used.
    """
    pixels = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    if pixels.ndim > 2 and not layer.rgb:
        place = layer.world_to_data(point)[: pixels.ndim - 2]
        shown = [min(max(round(float(at)), 0), n - 1) for at, n in zip(place, pixels.shape, strict=False)]
        pixels = pixels[tuple(shown)]
    micrograph = micrograph_from_array(pixels, 10 * pixel_nm, name=layer.name)
    told = layer.metadata.get("facetem", {})
    known = {key: value for key, value in told.items() if key != "truth"}
    return Micrograph(
        micrograph.image, micrograph.sampling, layer.name, known | micrograph.metadata, micrograph.axes
    )


def pixel_size_nm(layer: Any) -> float | None:
    """The pixel size of a layer [nm], if its scale has a unit of length."""
    unit = _NM.get(str(layer.units[-1]))
    return None if unit is None else float(layer.scale[-1]) * unit


def _calibrate(layer: Any, pixel_nm: float) -> tuple[float, float]:
    """Give a layer the pixel size [nm], so that results lie on it; where its first pixel is (y, x) [nm]."""
    unit = _NM.get(str(layer.units[-1]))
    start = tuple(float(v) * (unit or 0.0) for v in layer.translate[-2:])
    known = pixel_size_nm(layer)
    if known is None or abs(known - pixel_nm) > 1e-9 or unit != 1.0:
        layer.scale = (*layer.scale[:-2], pixel_nm, pixel_nm)
        layer.translate = (*layer.translate[:-2], *start)
        layer.units = (*layer.units[:-2], "nm", "nm")
    return start[0], start[1]


def _table() -> Any:
    table = QTableWidget(0, len(COLUMNS))
    table.setHorizontalHeaderLabels(COLUMNS)
    table.verticalHeader().hide()
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    table.setSortingEnabled(True)
    return table


def _fill(table: Any, rows: list[tuple[Any, ...]], colours: list[str]) -> None:
    from qtpy.QtGui import QColor  # pyright: ignore[reportMissingImports]

    table.setSortingEnabled(False)
    table.setRowCount(len(rows))
    for i, (row, colour) in enumerate(zip(rows, colours, strict=True)):
        for j, value in enumerate(row):
            item = QTableWidgetItem()
            item.setData(Qt.ItemDataRole.DisplayRole, value)
            if j == 0:
                item.setBackground(QColor(colour))
                item.setForeground(QColor("black"))
            table.setItem(i, j, item)
    table.setSortingEnabled(True)
    table.sortItems(0)
