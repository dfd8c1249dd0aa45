"""The second tab: a specimen and a microscope to change, and the image that follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import isfinite
from typing import Any

from nicegui import ui

from facetem.analysis.labels import label_words
from facetem.app.structures import save_structure
from facetem.app.web.bench import FREE, ZONES, Imaging, Shown, Specimen, atoms_of, simulate_image
from facetem.app.web.components import Solid, Viewer
from facetem.app.web.inspector import data_url
from facetem.app.web.sessions import PageFile, Session
from facetem.app.web.solids import solid
from facetem.app.web.studio import Studio
from facetem.atoms.library import LIBRARY
from facetem.core.errors import InputError
from facetem.data.micrograph import save_image
from facetem.hrtem.cameras import CAMERAS
from facetem.hrtem.instruments import INSTRUMENTS

PIXEL_NM = 0.04
_DOSES = (0, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000)  # e/Å2; 0: no noise


class Simulator:
    """`analyse` is called with an item that holds the image."""

    def __init__(self, studio: Studio, session: Session, *, analyse: Callable[[PageFile], None]) -> None:
        self._studio, self._session, self._analyse = studio, session, analyse
        self._specimen, self._imaging = Specimen(), Imaging()
        self._last: Shown | None = None
        self._of: tuple[Specimen, Imaging] | None = None
        self._working = self._awake = False
        self._controls: dict[str, Any] = {}
        with ui.element("section").classes("ft-controls").props('aria-label="Settings"'):
            self._specimen_controls()
            self._imaging_controls()
        with ui.element("section").classes("ft-bench"):
            self._viewer = Viewer(lambda index: None)
            self._said = (
                ui.label("The first image takes a few seconds.")
                .classes("soft ft-said")
                .props('aria-live="polite"')
            )
            with ui.element("div").classes("ft-links"):
                ui.button("Analyse this image", on_click=self._to_analysis).props("unelevated dense no-caps")
                ui.button("Another noise", on_click=self._reseed).props("flat dense no-caps")
                for name, text in (("image.tif", "Image (.tif)"), ("atoms.extxyz", "Atoms (.extxyz)")):
                    ui.button(text, on_click=partial(self._download, name)).props("flat dense no-caps")
        with ui.element("section").classes("ft-beside"):
            self._solid = Solid(self._polyhedron(), half=5.12, title="3D model of the specimen")
            with ui.element("figure"):
                with ui.element("div").classes("ft-picture"):
                    self._spectrum = ui.element("img").props('alt="power spectrum"')
                with ui.element("figcaption"):
                    ui.label("power spectrum, to 1/(1.25 Å)")
        ui.timer(0.1, self._follow)

    def wake(self, awake: bool) -> None:
        """Follow the settings only while somebody looks."""
        self._awake = awake

    def take(self, shape: str, diameter_nm: float, quaternion: tuple[float, ...]) -> None:
        """A particle of a report as the specimen."""
        from scipy.spatial.transform import Rotation

        w, x, y, z = quaternion
        turn, tilt_x, tilt_y = Rotation.from_quat([x, y, z, w]).as_euler("zxy", degrees=True)
        told = {
            "shape": shape, "diameter_nm": round(min(max(diameter_nm, 1.5), 8.0), 1), "zone": FREE,
            "turn": round(float(turn), 1), "tilt_x": round(float(tilt_x), 1), "tilt_y": round(float(tilt_y), 1),
        }  # fmt: skip
        for name, value in told.items():
            self._controls[name].set_value(value)

    def _specimen_controls(self) -> None:
        ui.label("Specimen").classes("ft-h")
        self._select("shape", "Shape", {name: label_words(name) for name in LIBRARY}, self._of_specimen)
        self._slider("diameter_nm", "Diameter", 1.5, 8.0, 0.1, "nm", self._of_specimen)
        self._select("zone", "Along the beam", {name: _zone_words(name) for name in ZONES}, self._of_specimen)
        self._slider("turn", "Turned about the beam", -180, 180, 1, "°", self._of_specimen)
        self._slider("tilt_x", "Tilted about x", -90, 90, 0.5, "°", self._of_specimen)
        self._slider("tilt_y", "Tilted about y", -90, 90, 0.5, "°", self._of_specimen)
        self._slider("film_nm", "Carbon film", 0, 8, 0.5, "nm", self._of_specimen)
        with ui.element("div").classes("ft-row"):
            ideal = ui.switch("ideal polyhedron", value=True)
            ideal.on_value_change(lambda e: self._of_specimen(ideal=bool(e.value)))
            ui.button("Another one", on_click=lambda: self._of_specimen(seed=self._specimen.seed + 1)).props(
                "flat dense no-caps"
            ).tooltip("another film, and another member of the shape's family")

    def _imaging_controls(self) -> None:
        ui.label("Microscope").classes("ft-h")
        self._select(
            "instrument", "Instrument", {n: n.replace("-", ", ") for n in INSTRUMENTS}, self._of_imaging
        )
        self._slider("defocus_nm", "Underfocus", -40, 80, 0.5, "nm", self._of_imaging)
        cs = INSTRUMENTS[self._imaging.instrument].optics.aberrations.C30
        self._slider(
            "cs_um", "Spherical aberration", -50, 1300, 1, "µm", self._of_imaging, value=float(cs) / 1e4
        )
        self._slider("astigmatism_nm", "Twofold astigmatism", 0, 20, 0.5, "nm", self._of_imaging)
        self._slider("astigmatism_deg", "… its direction", 0, 180, 1, "°", self._of_imaging)
        spread = float(INSTRUMENTS[self._imaging.instrument].optics.focal_spread) / 10
        self._slider(
            "focal_spread_nm", "Focal spread", 0, 10, 0.1, "nm", self._of_imaging, value=round(spread, 1)
        )
        ui.label("Camera").classes("ft-h")
        self._select(
            "camera", "Camera", {name: name.replace("-", ", ") for name in CAMERAS}, self._of_imaging
        )
        told = _dose_words(self._imaging.dose)
        with ui.element("div").classes("ft-control"):
            ui.label("Dose")
            said = ui.label(told).classes("n")
            slider = ui.slider(
                min=0, max=len(_DOSES) - 1, step=1, value=_DOSES.index(int(self._imaging.dose))
            )
            slider.props('aria-label="Dose"')

        def dose(event: Any) -> None:
            number = event.value if isinstance(event.value, (int, float)) and isfinite(event.value) else 0
            chosen = _DOSES[int(min(max(number, 0), len(_DOSES) - 1))]
            said.set_text(_dose_words(chosen))
            self._of_imaging(dose=float(chosen))

        slider.on_value_change(dose)

    def _select(self, name: str, text: str, options: dict[str, str], change: Callable[..., None]) -> None:
        value = getattr(self._specimen if change == self._of_specimen else self._imaging, name)
        select = (
            ui.select(options, value=value, label=text)
            .props("dense outlined options-dense")
            .classes("ft-select")
        )
        select.on_value_change(lambda event: change(**{name: event.value}))
        self._controls[name] = select

    def _slider(
        self, name: str, text: str, low: float, high: float, step: float, unit: str, change: Callable[..., None],
        value: float | None = None,
    ) -> None:  # fmt: skip
        start = value
        if start is None:
            start = getattr(self._specimen if change == self._of_specimen else self._imaging, name)
        with ui.element("div").classes("ft-control").props(f'data-control="{name}"'):
            ui.label(text)
            said = ui.label(_with_unit(start, unit)).classes("n")
            slider = ui.slider(min=low, max=high, step=step, value=start).props(f'aria-label="{text}"')

        def moved(event: Any) -> None:
            # Any number can be sent, and not only by the slider.
            number = float(event.value) if isinstance(event.value, (int, float)) else start
            number = min(max(number, low), high) if isfinite(number) else start
            said.set_text(_with_unit(number, unit))
            change(**{name: number})

        slider.on_value_change(moved)
        self._controls[name] = slider

    def _of_specimen(self, **changed: Any) -> None:
        self._specimen = replace(self._specimen, **changed)
        self._solid.show(self._polyhedron(), half=5.12, title="3D model of the specimen")

    def _of_imaging(self, **changed: Any) -> None:
        self._imaging = replace(self._imaging, **changed)
        if "instrument" in changed:  # a lens of its own
            optics = INSTRUMENTS[self._imaging.instrument].optics
            self._controls["cs_um"].set_value(round(float(optics.aberrations.C30) / 1e4))
            self._controls["focal_spread_nm"].set_value(round(float(optics.focal_spread) / 10, 1))

    def _polyhedron(self) -> dict[str, Any]:
        return solid(self._specimen.shape, 10 * self._specimen.diameter_nm, self._specimen.rotation)

    def _reseed(self) -> None:
        self._imaging = replace(self._imaging, noise=self._imaging.noise + 1)

    async def _follow(self) -> None:
        """Have the image made that is wanted now, one at a time: what was wanted in between is left out."""
        wanted = (self._specimen, self._imaging)
        if self._working or wanted == self._of or not self._awake:
            return
        self._working = True
        try:
            job = self._studio.ask(self._session, self._studio.simulator, simulate_image, *wanted)
            shown = await asyncio.wrap_future(job.future)
            self._of = wanted
            if shown is None:
                self._said.set_text(job.error)
            else:
                self._show(shown)
        finally:
            self._working = False

    def _show(self, shown: Shown) -> None:
        self._last = shown
        y, x = shown.pixels.shape
        self._viewer.show(field=data_url(shown.image), over={}, marks=[], size=(x, y), nm=PIXEL_NM)
        self._spectrum.props["src"] = data_url(shown.spectrum)
        self._spectrum.update()
        wave = "from the wave that was there" if shown.kept else "with a new exit wave"
        self._said.set_text(
            f"{shown.atoms:,} atoms · {x} × {y} px of {PIXEL_NM:g} nm · {shown.seconds:.2f} s, {wave}".replace(
                ",", " "
            )
        )

    def _to_analysis(self) -> None:
        if self._last is None:
            return
        n = sum(item.name.startswith("simulated") for item in self._session.items.values()) + 1
        item = self._session.place(f"simulated-{n}.tif")
        save_image(item.path, self._last.pixels, 10 * PIXEL_NM)
        self._session.add(item)
        self._analyse(item)

    async def _download(self, name: str) -> None:
        if self._last is None or self._of is None:
            return
        folder = self._session.folder / "simulated"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            if name == "image.tif":
                save_image(folder / name, self._last.pixels, 10 * PIXEL_NM)
            else:
                atoms = await asyncio.to_thread(atoms_of, self._of[0])
                await asyncio.to_thread(save_structure, folder / name, atoms)
        except (InputError, OSError) as error:
            self._said.set_text(str(error))
            return
        ui.download(f"/api/simulated/{name}")


def _zone_words(name: str) -> str:
    return "cube axes, as tilted below" if name == FREE else name


def _dose_words(dose: float) -> str:
    return f"{dose:g} e/Å2" if dose else "no noise"


def _with_unit(value: float, unit: str) -> str:
    return f"{value:.4g}{'' if unit == '°' else ' '}{unit}"
