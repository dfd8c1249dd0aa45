"""The list of micrographs: where they come from, how far they are, what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from nicegui import ui

from facetem.app.web.components import Drop
from facetem.app.web.results import load_result
from facetem.app.web.sessions import PageFile, Session
from facetem.app.web.studio import Studio
from facetem.core.errors import InputError
from facetem.core.words import number

_NO_SIZE = "expected a pixel size, got a file without one"


class _State(NamedTuple):
    """What of an item a row is drawn from, all of one moment: a worker's thread may change it at any time."""

    job: str
    done: bool
    error: str


@dataclass
class _Row:
    """A row, and what of it changes while its item is worked on."""

    box: Any
    state: _State | None = None
    step: ui.label | None = None
    bar: Any = None


class Files:
    """The list at the left; `open_` is called with the item to show, `gone` when it is removed."""

    def __init__(
        self, studio: Studio, session: Session, *, open_: Callable[[PageFile], None], gone: Callable[[], None]
    ) -> None:
        self._studio, self._session, self._open, self._gone = studio, session, open_, gone
        self._chosen = ""
        self._rows: dict[str, _Row] = {}
        self._watched: set[str] = set()
        Drop(studio.settings, self.look)
        if studio.settings.folder is not None:
            with ui.element("div").classes("ft-folder"):
                ui.label(f"Folder {studio.settings.folder.resolve().name}").classes("ft-h")
                ui.button("Look again", on_click=self._scan).props("flat dense no-caps")
        self._list = ui.element("ul").classes("ft-list")
        self.look()

    def look(self) -> None:
        """Show what has changed."""
        items = self._studio.sessions.items(self._session)
        self._arrange(items)
        for item in items:
            # Rows that stay as they are keep what is being typed into them.
            row, state = self._rows[item.key], self._state(item)
            if row.state != state:
                self._draw(item, row, state)
        for item in items:
            self._progress(item)
            if item.is_busy:
                if self._is_mine(item):
                    self._watched.add(item.key)
            elif item.key in self._watched:
                self._watched.discard(item.key)
                if item.is_done and not item.error:
                    self.choose(item)

    def choose(self, item: PageFile) -> None:
        """Open an item that has a result."""
        # The row is not drawn anew: what is being typed into it stays.
        for key, classes in ((self._chosen, "ft-file"), (item.key, "ft-file on")):
            if key in self._rows:
                self._rows[key].box.classes(replace=classes)
        self._chosen = item.key
        self._open(item)

    def start(self, item: PageFile, sampling_nm: float | None = None) -> None:
        """Queue an item's analysis, and open it when it is done."""
        try:
            self._studio.start(self._session, item, sampling_nm)
        except InputError as error:
            item.error = str(error)
        self.look()

    def _state(self, item: PageFile) -> _State:
        job = item.job
        return _State(job.state if job else "", item.is_done, item.error)

    def _is_mine(self, item: PageFile) -> bool:
        """Whether this visitor has started what is under way."""
        job = item.job
        return job is not None and job.owner == self._session.key

    def _scan(self) -> None:
        self._studio.sessions.scan()
        self.look()

    def _arrange(self, items: list[PageFile]) -> None:
        """A row for each item, in their order."""
        keys = [item.key for item in items]
        for gone in self._rows.keys() - set(keys):
            self._rows.pop(gone).box.delete()
        if keys[: len(self._rows)] != list(self._rows):  # a file of the folder is new
            self._list.clear()
            self._rows = {}
        with self._list:
            for key in keys[len(self._rows) :]:
                self._rows[key] = _Row(ui.element("li").props(f'data-file="{key}"'))

    def _draw(self, item: PageFile, row: _Row, state: _State) -> None:
        row.state, row.step, row.bar = state, None, None
        row.box.clear()
        row.box.classes(replace="ft-file on" if item.key == self._chosen else "ft-file")
        with row.box:
            self._head(item, state)
            if state.job:
                row.step = ui.label().classes("soft").props('aria-live="polite"')
                row.bar = ui.linear_progress(0, show_value=False, size="6px")
                row.bar.props('instant-feedback aria-label="Progress"')
                if self._is_mine(item):
                    ui.button("Cancel", on_click=partial(self._cancel, item)).props("flat dense no-caps")
                return
            if state.error:
                ui.label(_words(state.error)).classes("ft-why").props('role="alert"')
            elif state.done:
                ui.label(_summary(item)).classes("soft")
            self._offer(item, state)

    def _head(self, item: PageFile, state: _State) -> None:
        with ui.element("div").classes("ft-file-head"):
            if state.done:
                button = ui.button(item.name, on_click=partial(self.choose, item)).props("flat dense no-caps")
                button.classes("ft-name")
            else:
                ui.label(item.name).classes("ft-name")
            if not item.shared:
                remove = ui.button(icon="close", on_click=partial(self._remove, item))
                remove.props("flat dense round size=sm")
                remove.props["aria-label"] = f"Remove {item.name}"

    def _offer(self, item: PageFile, state: _State) -> None:
        """To analyse it, with a pixel size if need be; folded away where there is a result already."""
        folded = state.done and not state.error
        with ui.element("details" if folded else "div").classes("ft-offer"):
            if folded:
                with ui.element("summary"):
                    ui.label("Analyse again")
            with ui.element("div").classes("ft-again"):
                given = ui.number(
                    "pixel size (nm)", value=item.sampling_nm, format="%.5g", step=0.001, min=0
                ).props("dense")
                given.props["aria-label"] = f"Pixel size of {item.name} in nm"
                ui.button("Analyse", on_click=lambda: self.start(item, given.value or None)).props(
                    "unelevated dense no-caps"
                )
            if not state.error:
                ui.label("empty: the file's own").classes("soft")

    def _progress(self, item: PageFile) -> None:
        row, job = self._rows.get(item.key), item.job
        if row is None or row.step is None or job is None:
            return
        if job.state == "waiting":
            place = self._studio.analyses.place(job)
            text, part = f"waiting, number {place + 1} in line", 0.0
        else:
            done = f" {job.done} of {job.total}" if job.total > 1 else ""
            text, part = f"{job.step or 'starting'}{done}", job.done / max(1, job.total)
        if row.step.text != text:
            row.step.set_text(text)
            row.bar.set_value(part)

    def _cancel(self, item: PageFile) -> None:
        self._watched.discard(item.key)
        self._studio.cancel(item)
        self.look()

    def _remove(self, item: PageFile) -> None:
        self._watched.discard(item.key)
        self._studio.remove(self._session, item)
        if item.key == self._chosen:
            self._chosen = ""
            self._gone()
        self.look()


def _words(error: str) -> str:
    if _NO_SIZE in error:
        return "This file does not know its pixel size. Give it below, in nm."
    return error.replace("--sampling-nm", "pixel size")


def _summary(item: PageFile) -> str:
    result = load_result(item.report)
    n = 0 if result is None else len(result.particles)
    return number(n, "particle")
