"""The page's own elements: what they draw is in the scripts of the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui.element import Element

from facetem.app.web.guard import UPLOAD
from facetem.app.web.settings import Settings
from facetem.data.formats import EXTENSIONS


class Viewer(Element, component="viewer.js"):
    """A micrograph with its outlines; `choose` is called with a particle's number."""

    def __init__(self, choose: Callable[[int], None]) -> None:
        super().__init__()
        self._props.update(field="", over={}, marks=[], size=[1, 1], nm=1.0, selected=0)
        self.on("choose", lambda event: choose(int(event.args)))

    def show(
        self,
        *,
        field: str,
        over: dict[str, str],
        marks: list[dict[str, Any]],
        size: tuple[int, int],
        nm: float,
    ) -> None:
        """Put another micrograph up: the address of its picture, and of what can be laid over it by name ("" if there
        is none); marks, (x, y) [px], nm/px."""
        shown = {name: address for name, address in over.items() if address}
        self._props.update(field=field, over=shown, marks=marks, size=list(size), nm=nm, selected=0)
        self.update()

    def remark(self, marks: list[dict[str, Any]]) -> None:
        """Other marks on the same micrograph."""
        self._props["marks"] = marks
        self.update()

    def select(self, index: int) -> None:
        """Make one mark stand out, and bring it into view."""
        self._props["selected"] = index
        self.update()
        self.run_method("show", index)


class Solid(Element, component="solid.js"):
    """A polyhedron to turn, drawn to scale in a square of `half` nm to each side of its middle."""

    def __init__(self, solid: dict[str, Any], *, half: float, title: str) -> None:
        super().__init__()
        self._props.update(solid, half=half, title=title)

    def show(self, solid: dict[str, Any], *, half: float, title: str) -> None:
        """Another one."""
        self._props.update(solid, half=half, title=title)
        self.update()


class Drop(Element, component="drop.js"):
    """Where files are dropped; `sent` is called when one has come in."""

    def __init__(self, settings: Settings, sent: Callable[[], None]) -> None:
        super().__init__()
        self._props.update(url=UPLOAD, extensions=list(EXTENSIONS), megabytes=settings.upload_mb)
        self.on("sent", lambda _: sent())
