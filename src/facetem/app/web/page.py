"""The page: its two tabs, and what is open in them. One of these for every browser tab."""

from __future__ import annotations

import time
from importlib import resources

from fastapi import Request
from nicegui import Client, ui

from facetem.app.web.files import Files
from facetem.app.web.guard import SESSION
from facetem.app.web.inspector import Inspector
from facetem.app.web.sessions import PageFile, Session
from facetem.app.web.simulator import Simulator
from facetem.app.web.studio import Studio
from facetem.app.web.viewing import Viewing

_POLL = 0.4  # s between two looks at what the workers have done


def attach(studio: Studio) -> None:
    """Make the page that NiceGUI serves at / one over this studio."""
    style = resources.files("facetem.app.web").joinpath("page.css").read_text(encoding="utf-8")

    @ui.page("/", title="facetem")
    def page(request: Request, client: Client) -> None:
        session: Session = request.scope[SESSION]
        ui.add_css(style)
        ui.colors(primary="#0072b2")
        session.pages += 1
        client.on_delete(lambda: _left(session))
        Page(studio, session)


def _left(session: Session) -> None:
    session.pages -= 1
    session.seen = time.monotonic()


class Page:
    """What one browser tab shows."""

    def __init__(self, studio: Studio, session: Session) -> None:
        self._studio, self._session = studio, session
        with ui.element("header").classes("ft-header"):
            ui.label("facetem").classes("ft-brand")
            with ui.tabs().props("dense no-caps inline-label").classes("ft-tabs") as self._tabs:
                analyse = ui.tab("Analyse")
                simulate = ui.tab("Simulate")
            ui.element("div").classes("ft-grow")
            ui.html(
                '<a class="ft-button" href="/api/items/all/download.zip" download>Download everything</a>',
                sanitize=False,
            )
        with ui.tab_panels(self._tabs, value=analyse, animated=False, keep_alive=True).classes("ft-panels"):
            with ui.tab_panel(analyse).classes("ft-analyse"):
                with ui.element("nav").classes("ft-files").props('aria-label="Micrographs"'):
                    self._files = Files(studio, session, open_=self.open, gone=self._gone)
                with ui.element("main").classes("ft-main"):
                    self._viewing = Viewing(choose=self.choose)
                with ui.element("aside").classes("ft-side-panel").props('aria-label="Particle"'):
                    self._inspector = Inspector(
                        studio, session, changed=self._viewing.relabel, try_=self.try_out
                    )
            with ui.tab_panel(simulate).classes("ft-simulate"):
                self._simulator = Simulator(studio, session, analyse=self.simulated)
        self._analyse, self._simulate = analyse, simulate
        self._tabs.on_value_change(lambda event: self._simulator.wake(event.value in (simulate, "Simulate")))
        ui.timer(_POLL, self._files.look)

    def open(self, item: PageFile) -> None:
        """Show the result of an item."""
        self._viewing.show(item)
        self._inspector.open(item)

    def choose(self, index: int) -> None:
        """Show one particle of what is open."""
        self._viewing.select(index)
        self._inspector.show(index)

    def _gone(self) -> None:
        self._viewing.clear()
        self._inspector.clear()

    def try_out(self, shape: str, diameter_nm: float, quaternion: tuple[float, ...]) -> None:
        """Take a particle to the simulator."""
        self._tabs.set_value(self._simulate)
        self._simulator.take(shape, diameter_nm, quaternion)

    def simulated(self, item: PageFile) -> None:
        """Analyse an image that the simulator made."""
        self._tabs.set_value(self._analyse)
        self._files.start(item)
