"""The middle of the page: the micrograph that is open, its particles in a table, and charts of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from nicegui import ui

from facetem.analysis.agreement import Agreement, labelled_particles
from facetem.analysis.labels import label_words, load_labels
from facetem.app.web.components import Viewer
from facetem.app.web.results import FIELD_PICTURE, PICTURES, Result, load_result
from facetem.app.web.sessions import PageFile
from facetem.core.errors import InputError
from facetem.core.words import number

_DASHED = ("cannot tell", "none of these", "not judged")  # told apart from shapes without colour, too
_STEP = 0.5  # nm of the chart of diameters
_DOT = (
    "p => { const s = document.createElement('span'), d = document.createElement('i'); d.className = 'ft-dot'; "
    "d.style.background = p.data.colour; s.append(d, p.value); return s; }"
)
_COLUMNS: list[dict[str, Any]] = [
    {"field": "index", "headerName": "#", "width": 64, "sort": "asc"},
    {"field": "shape", "headerName": "Shape", "flex": 2, "minWidth": 170,
     ":cellRenderer": _DOT},
    {"field": "confidence", "headerName": "Sure", "width": 84,
     ":valueFormatter": "p => p.value === null ? '–' : Math.round(100 * p.value) + ' %'"},
    {"field": "diameter", "headerName": "nm", "width": 80, "headerTooltip": "projected diameter",
     ":valueFormatter": "p => p.value.toFixed(2)"},
    {"field": "label", "headerName": "Your label", "flex": 1, "minWidth": 105, "tooltipField": "label"},
    {"field": "family", "headerName": "Family", "flex": 1, "minWidth": 120},
    {"field": "remarks", "headerName": "Remarks", "flex": 2, "minWidth": 150, "tooltipField": "remarks"},
]  # fmt: skip
_GRID: dict[str, Any] = {
    "columnDefs": _COLUMNS,
    "rowData": [],
    "rowSelection": {"mode": "singleRow", "checkboxes": False, "enableClickSelection": True},
    "domLayout": "autoHeight",
    ":getRowId": "p => String(p.data.index)",
    "rowHeight": 36,
    "headerHeight": 38,
}


class Viewing:
    """`choose` is called with the number of a particle that was clicked at."""

    def __init__(self, *, choose: Callable[[int], None]) -> None:
        self._choose = choose
        self._result: Result | None = None
        self._item: PageFile | None = None
        self._empty = ui.element("div").classes("ft-empty")
        with self._empty:
            ui.html(
                "<h1>The 3D shape of nanoparticles, from one image</h1><p>Drop a high-resolution micrograph of "
                "gold particles on carbon: facetem finds them, restores the image, and says of each which shape it "
                "is and how sure that is. Or make an image first, under <b>Simulate</b>.</p><p class='soft'>Nothing "
                "leaves this computer. What you upload is deleted when you are gone.</p>",
                sanitize=False,
            )
        self._full = ui.element("div").classes("ft-full")
        self._full.set_visibility(False)
        with self._full:
            with ui.element("div").classes("ft-title"):
                self._title = ui.element("h1")
                self._facts = ui.label().classes("soft ft-facts")
                self._links = ui.element("div").classes("ft-links")
            self._warning = ui.label().classes("ft-warning").props('role="note"')
            self._viewer = Viewer(choose)
            self._legend = ui.element("ul").classes("ft-legend")
            self._grid = ui.aggrid({**_GRID}).classes("ft-table").props('aria-label="Particles"')
            self._grid.on("cellClicked", lambda e: choose(int(e.args["data"]["index"])))
            self._grid.on("rowSelected", self._row_selected)
            self._agreed = ui.label().classes("soft").props('role="status"')
            with ui.element("div").classes("ft-charts"):
                self._counts = ui.echart(_bars([], [])).classes("ft-chart")
                self._sizes = ui.echart(_bars([], [])).classes("ft-chart")
        self._selected = 0

    def clear(self) -> None:
        """Show nothing."""
        self._result = self._item = None
        self._full.set_visibility(False)
        self._empty.set_visibility(True)

    def show(self, item: PageFile) -> None:
        """Open the result of an item."""
        result = load_result(item.report)
        if result is None:
            self.clear()
            return
        self._item, self._result, self._selected = item, result, 0
        self._empty.set_visibility(False)
        self._full.set_visibility(True)
        self._title.clear()
        with self._title:
            ui.label(item.name)
        y, x = result.told["micrograph"]["field_nm_yx"]
        pixel, n = result.told["micrograph"]["pixel_size_nm"], len(result.particles)
        self._facts.set_text(f"{x:.1f} × {y:.1f} nm · {pixel:.4g} nm/px · {number(n, 'particle')}")
        self._links.clear()
        with self._links:
            for text, name in (("Report", "report.html"), ("Download", "download.zip")):
                attribute = "download" if name.endswith("zip") else 'target="_blank" rel="noopener"'
                address = f"/api/items/{item.key}/{name}"
                ui.html(f'<a class="ft-button" href="{address}" {attribute}>{text}</a>', sanitize=False)
        warning = result.told["warning"].replace("--sampling-nm", "a pixel size (nm) of")
        self._warning.set_text(warning[:1].upper() + warning[1:])
        self._warning.set_visibility(bool(warning))
        height, width = result.shape
        stamp = (item.report / FIELD_PICTURE).stat().st_mtime_ns
        field, restored, denoised = (
            f"/api/items/{item.key}/{name}?{stamp}" if (item.report / name).exists() else ""
            for name in PICTURES
        )
        self._viewer.show(
            field=field,
            over={"restored": restored, "denoised": denoised},
            marks=self._marks(),
            size=(width, height),
            nm=result.pixel_nm,
        )
        self._table()
        self._draw_legend()
        self._draw_charts()

    def select(self, index: int) -> None:
        """Make one particle stand out."""
        if index != self._selected:
            self._selected = index
            self._viewer.select(index)
            self._grid.run_row_method(str(index), "setSelected", True, True)

    def relabel(self) -> None:
        """Show labels that have changed."""
        if self._result is not None:
            self._viewer.remark(self._marks())
            self._grid.run_grid_method("setGridOption", "rowData", self._rows())
            self._tell_agreement()

    def _row_selected(self, event: Any) -> None:
        index = int(event.args["data"]["index"])
        if event.args.get("selected") and index != self._selected:
            self._choose(index)

    def _marks(self) -> list[dict[str, Any]]:
        result = self._result
        assert result is not None
        labels, marks = load_labels(result.folder), []
        for p in result.particles:
            points = [(x / result.pixel_nm - 0.5, y / result.pixel_nm - 0.5) for x, y in p["contour_nm"]]
            points = points[:: max(1, len(points) // 200)]
            y, x = result.centroid(p)
            sure = f", {p['confidence']:.0%}" if p["known"] else ""
            marks.append(
                {
                    "index": p["index"], "x": round(x, 1), "y": round(y, 1), "colour": result.colours[p["verdict"]],
                    "path": "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z",
                    "title": f"{p['index']}: {p['words']}{sure}, {p['diameter_nm']:.2f} nm",
                    "dashed": p["verdict"] in _DASHED, "label": p["index"] in labels,
                }
            )  # fmt: skip
        return marks

    def _rows(self) -> list[dict[str, Any]]:
        result = self._result
        assert result is not None
        labels = load_labels(result.folder)
        return [
            {
                "index": p["index"], "shape": p["words"], "colour": result.colours[p["verdict"]],
                "confidence": p["confidence"] if p["known"] else None, "diameter": p["diameter_nm"],
                "family": p["family"] if p["known"] else "", "remarks": "; ".join(p["remarks"]),
                "label": label_words(labels[p["index"]]["label"]) if p["index"] in labels else "",
            }
            for p in result.particles
        ]  # fmt: skip

    def _table(self) -> None:
        self._grid.options["rowData"] = self._rows()
        self._grid.update()
        self._tell_agreement()

    def _tell_agreement(self) -> None:
        """How often the answers are those of the labels."""
        result = self._result
        assert result is not None
        try:
            labelled = Agreement(tuple(labelled_particles(result.folder)))
        except InputError:  # taken away meanwhile, or of a version before
            labelled = Agreement(())
        named = labelled.shares()[0]
        self._agreed.set_visibility(bool(named.n))
        low, high = named.interval
        self._agreed.set_text(
            f"Your label is the named shape for {named.hits} of {number(named.n, 'particle')}: "
            f"{named.hits / max(named.n, 1):.2f} ({low:.2f} to {high:.2f})"
        )

    def _draw_legend(self) -> None:
        result = self._result
        assert result is not None
        self._legend.clear()
        seen = Counter(p["verdict"] for p in result.particles)
        with self._legend:
            for name, colour in result.colours.items():
                if seen[name]:
                    with ui.element("li"):
                        ui.element("i").classes("ft-dot").style(f"background: {colour}")
                        ui.label(f"{name} ({seen[name]})")

    def _draw_charts(self) -> None:
        result = self._result
        assert result is not None
        seen = Counter(p["verdict"] for p in result.particles)
        names = [name for name in result.colours if seen[name]]
        bars = [{"value": seen[n], "itemStyle": {"color": result.colours[n]}} for n in names]
        self._counts.options.clear()
        self._counts.options.update(_bars(names, bars))
        self._counts.update()
        whole = [p for p in result.particles if not p["cut_by_edge"]]
        self._sizes.options.clear()
        self._sizes.options.update(_histogram(whole, result.colours))
        self._sizes.update()


def _bars(names: list[str], bars: list[Any]) -> dict[str, Any]:
    return {
        "title": {"text": "Particles by shape", "textStyle": {"fontSize": 14, "color": "#1d2126"}},
        "grid": {"left": 8, "right": 30, "top": 36, "bottom": 8, "containLabel": True},
        "xAxis": {"type": "value", "minInterval": 1},
        "yAxis": {"type": "category", "data": names, "inverse": True, "axisTick": {"show": False}},
        "series": [
            {"type": "bar", "data": bars, "barMaxWidth": 22, "label": {"show": True, "position": "right"}}
        ],
        "animation": False,
    }


def _histogram(particles: list[dict[str, Any]], colours: dict[str, str]) -> dict[str, Any]:
    """Diameters of whole particles, stacked by verdict."""
    first = min((int(p["diameter_nm"] / _STEP) for p in particles), default=0)
    last = max((int(p["diameter_nm"] / _STEP) for p in particles), default=0)
    series = []
    for name, colour in colours.items():
        of = Counter(int(p["diameter_nm"] / _STEP) for p in particles if p["verdict"] == name)
        if of:
            values = [of[i] for i in range(first, last + 1)]
            bars = {"type": "bar", "stack": "all", "name": name, "data": values, "barCategoryGap": "6%"}
            series.append({**bars, "itemStyle": {"color": colour}})
    return {
        "title": {"text": "Projected diameter (nm)", "textStyle": {"fontSize": 14, "color": "#1d2126"}},
        "grid": {"left": 8, "right": 16, "top": 36, "bottom": 8, "containLabel": True},
        "tooltip": {"trigger": "axis"},
        "xAxis": {
            "type": "category",
            "data": [f"{i * _STEP:g}–{(i + 1) * _STEP:g}" for i in range(first, last + 1)],
        },
        "yAxis": {"type": "value", "minInterval": 1},
        "series": series,
        "animation": False,
    }
