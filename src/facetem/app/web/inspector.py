"""The right of the page: everything about one particle, and the label that a microscopist gives it."""

from __future__ import annotations

import asyncio
import math
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from nicegui import ui

from facetem.analysis.labels import CHOICES, label_words, load_labels
from facetem.app.web.components import Solid
from facetem.app.web.jobs import Job
from facetem.app.web.labels import set_label
from facetem.app.web.results import Result, load_result
from facetem.app.web.sessions import PageFile, Session
from facetem.app.web.solids import solid
from facetem.app.web.studio import Studio
from facetem.app.web.tasks import (
    FINEST,
    TWIN_FIELD,
    particle_pictures,
    rotation_of,
    saliency_picture,
    twin_picture,
)
from facetem.atoms.shapes import lattice_constant
from facetem.core.errors import InputError
from facetem.core.words import spoken
from facetem.learn.matter import Matter
from facetem.learn.orientation import TOLD

_ENERGY = 300e3  # eV, where the file tells none
_RINGS = {"{111}": 3, "{200}": 4, "{220}": 8}  # h^2 + k^2 + l^2


class Inspector:
    """`changed` is called when a label has changed, `try_` to take the particle to the simulator."""

    def __init__(
        self,
        studio: Studio,
        session: Session,
        *,
        changed: Callable[[], None],
        try_: Callable[[str, float, tuple[float, ...]], None],
    ) -> None:
        self._studio, self._session, self._changed, self._try = studio, session, changed, try_
        self._item: PageFile | None = None
        self._asked: list[tuple[Any, Job]] = []
        self._place = ui.element("div").classes("ft-card")
        self.clear()

    def clear(self) -> None:
        """Show nothing."""
        self._item = None
        self._hint("Nothing is open.")

    def open(self, item: PageFile) -> None:
        """Another micrograph, none of whose particles is chosen yet."""
        self._item = item
        result = load_result(item.report)
        found = bool(result and result.particles)
        self._hint(
            "Click a particle, in the image or the table, to see what was found of it."
            if found
            else "No particle was found in this field. If there is one, check the pixel size first."
        )

    def _hint(self, text: str) -> None:
        self._drop_questions()
        self._place.clear()
        with self._place:
            ui.label(text).classes("soft ft-hint")

    def _drop_questions(self) -> None:
        """What nobody waits for any more is not worked on."""
        for worker, job in self._asked:
            if job.state == "waiting":
                worker.cancel(job)
        self._asked = []

    def show(self, index: int) -> None:
        """One particle."""
        result = None if self._item is None else load_result(self._item.report)
        particle = None if result is None else result.particle(index)
        if result is None or particle is None:
            return
        self._drop_questions()
        self._place.clear()
        with self._place:
            self._heading(result, particle)
            pictures = self._pictures(particle, result.learnt)
            _bars(result, particle)
            self._label(result, particle)
            _measures(particle)
        self._ask(result, particle, pictures)

    def _heading(self, result: Result, p: dict[str, Any]) -> None:
        with ui.element("h2").classes("ft-what"):
            ui.label(str(p["index"])).classes("ft-no")
            ui.element("i").classes("ft-dot").style(f"background: {result.colours[p['verdict']]}")
            ui.label(p["words"])
            if p["known"]:
                ui.label(f"{p['confidence']:.0%}").classes("ft-sure")
        for remark in p["remarks"]:
            ui.label(remark).classes("soft")

    def _pictures(self, p: dict[str, Any], learnt: Matter) -> dict[str, Any]:
        """Places for the pictures, which come later, and the model."""
        shown = {}
        shape = label_words(p["shape"])
        with ui.element("div").classes("ft-pictures"):
            for name, caption in (("crop", "micrograph"), ("restored", "restored")):
                shown[name] = _picture(name, caption)
            if p["judged"]:
                shown["twin"] = _picture("twin", f"simulated {shape}")
                diameter = min(max(10 * p["volume_diameter_nm"], 10.0), 120.0)
                polyhedron = solid(p["shape"], diameter, rotation_of(p["quaternion"]))
                Solid(polyhedron, half=TWIN_FIELD / 20, title=f"3D model of a {shape}")
            shown["spectrum"] = _picture(
                "spectrum", f"spectrum; rings: {learnt.metal}", spectrum_rings(learnt)
            )
            shown["saliency"] = _picture("saliency", "what decided")
        if p["judged"]:
            with ui.element("div").classes("ft-row"):
                ui.label(
                    f"model: {shape}, {p['volume_diameter_nm']:.1f} nm, as it was found to lie{_lies(p)}"
                ).classes("soft")
                take = (p["shape"], p["volume_diameter_nm"], tuple(p["quaternion"]))
                ui.button("Simulate it", on_click=lambda: self._try(*take)).props("flat dense no-caps")
        return shown

    def _label(self, result: Result, p: dict[str, Any]) -> None:
        index = p["index"]
        known = load_labels(result.folder).get(index, {})
        ui.label("Your label").classes("ft-h")
        with ui.element("div").classes("ft-label"):
            choice = ui.select(
                {"": "as predicted", **{label: label_words(label) for label in CHOICES}},
                value=known.get("label", ""),
            ).props('dense outlined options-dense aria-label="Your label"')
            note = ui.input("note", value=known.get("note", "")).props("dense outlined maxlength=500")
            said = (
                ui.label("kept with the results" if known else "").classes("soft").props('aria-live="polite"')
            )

        def keep() -> None:
            try:
                set_label(result, index, choice.value or "", note.value or "")
            except (InputError, OSError) as error:
                said.set_text(str(error))
                return
            said.set_text("kept with the results" if choice.value else "")
            self._changed()

        choice.on_value_change(keep)
        note.on("blur", lambda: keep() if choice.value else None)

    def _ask(self, result: Result, p: dict[str, Any], pictures: dict[str, Any]) -> None:
        """Have the pictures made, and put them in their places as they come."""
        studio, folder, index = self._studio, result.folder, p["index"]
        crops = studio.ask(self._session, studio.pictures, particle_pictures, folder, index)
        self._asked.append((studio.pictures, crops))

        def placed(told: dict[str, bytes]) -> None:
            for name, data in told.items():
                _put(pictures[name], data)

        with self._place:
            _when_done(crops, placed)
            if "twin" in pictures:
                energy = result.energy or _ENERGY
                diameter, lies = 10 * p["volume_diameter_nm"], tuple(p["quaternion"])
                image = studio.ask(
                    self._session, studio.pictures, twin_picture, p["shape"], diameter, lies, energy
                )
                self._asked.append((studio.pictures, image))
                _when_done(image, lambda data: _put(pictures["twin"], data))
            weight = studio.ask(
                self._session, studio.pictures, saliency_picture, folder, index, studio.settings.device
            )
            self._asked.append((studio.pictures, weight))
            _when_done(weight, lambda data: _put(pictures["saliency"], data))


def _when_done(job: Job, use: Callable[[Any], None]) -> None:
    async def wait() -> None:
        told = await asyncio.wrap_future(job.future)
        if told is not None:
            use(told)

    ui.timer(0, wait, once=True)


def _put(image: Any, data: bytes) -> None:
    if not image.is_deleted:
        image.props["src"] = data_url(data)
        image.update()


def data_url(png: bytes) -> str:
    """A picture as an address that holds it."""
    return "data:image/png;base64," + b64encode(png).decode("ascii")


def _picture(name: str, caption: str, over: str = "") -> Any:
    with ui.element("figure").props(f'data-picture="{name}"'):
        with ui.element("div").classes("ft-picture"):
            image = ui.element("img").props(f'alt="{caption}"')
            if over:
                ui.html(over, sanitize=False)
        with ui.element("figcaption"):
            ui.label(caption)
    return image


def spectrum_rings(learnt: Matter) -> str:
    """Circles where the reflections of the learnt metals lie in a spectrum's picture."""
    lines = [
        (f"{element} {name}", lattice_constant(element) / math.sqrt(square))
        for element in learnt.elements
        for name, square in _RINGS.items()
    ]
    circles = "".join(
        f'<circle cx="50" cy="50" r="{50 * FINEST / d:.2f}"><title>{name} {d:.2f} Å</title></circle>'
        for name, d in lines
    )
    return f'<svg viewBox="0 0 100 100" class="ft-rings">{circles}</svg>'


def _lies(p: dict[str, Any]) -> str:
    if not p["known"]:
        return ""
    off = p.get("orientation_error_deg")  # not in reports of before
    if off is not None and off > TOLD:
        return f", typically {off:.0f}° off"
    return f", {p['lies']}" if p.get("lies") else ""


def _bars(result: Result, p: dict[str, Any]) -> None:
    if not p["judged"]:
        return
    colours = result.colours
    with ui.element("ul").classes("ft-bars").props('aria-label="Probabilities"'):
        for name, value in p["probabilities"].items():
            possible = p["known"] and name in p["possible"]
            colour = colours[spoken(name)] if possible else "#c3c9d0"
            with ui.element("li").classes("possible" if possible else ""):
                ui.label(label_words(name))
                with ui.element("span").classes("ft-meter"):
                    ui.element("i").style(f"width: {100 * value:.1f}%; background: {colour}")
                ui.label(f"{value:.0%}").classes("n")


def _measures(p: dict[str, Any]) -> None:
    rows = {
        "Projected diameter": f"{p['diameter_nm']:.2f} nm",
        "Feret diameter": f"{p['feret_nm']:.2f} nm",
        "Circularity": f"{p['circularity']:.2f}",
        "Place (x, y)": f"{p['x_nm']:.1f}, {p['y_nm']:.1f} nm",
    }
    if p["spacings_nm"]:
        rows["Lattice spacings"] = ", ".join(f"{10 * d:.2f}" for d in p["spacings_nm"]) + " Å"
    if p["contrast"] is not None:
        rows["Contrast"] = f"{p['contrast']:.1f}"
    if p["out_of_focus_nm"] is not None:
        rows["From focus"] = f"about {p['out_of_focus_nm']:.0f} nm"
    with ui.element("dl").classes("ft-measures"):
        for name, value in rows.items():
            with ui.element("dt"):
                ui.label(name)
            with ui.element("dd"):
                ui.label(value)
