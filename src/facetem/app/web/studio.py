"""What the page can do, without the page: uploads, analyses, their results, and the workers behind them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from facetem.app.web.jobs import Job, Worker
from facetem.app.web.keeping import move_report
from facetem.app.web.sessions import PageFile, Session, Sessions
from facetem.app.web.settings import Settings
from facetem.app.web.tasks import analyse
from facetem.core.errors import InputError

MOST_WAITING = 50  # analyses of one session


class Studio:
    """One server's sessions and its three workers: analyses, pictures of particles, and the simulator."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sessions = Sessions(settings)
        self.analyses = Worker("analysis")
        self.pictures = Worker("pictures")
        self.simulator = Worker("simulator")

    def close(self) -> None:
        """End all work and delete what was uploaded."""
        for worker in (self.analyses, self.pictures, self.simulator):
            worker.close()
        self.sessions.close()

    def start(self, session: Session, item: PageFile, sampling_nm: float | None = None) -> None:
        """Queue the analysis of an item.

        Raises
        ------
        InputError
            If it is under way, or the session has too many that wait.
        """
        if item.is_busy:
            raise InputError(f"{item.name}: its analysis is under way")
        if self.analyses.waiting_of(session.key) >= MOST_WAITING:
            raise InputError(f"{item.name}: {MOST_WAITING} of your files wait already; start it later")
        # Written aside: a report is whole, or as it was.
        aside = session.folder / f"work-{item.key}"
        shutil.rmtree(aside, ignore_errors=True)
        session.folder.mkdir(parents=True, exist_ok=True)
        item.sampling_nm, item.error = sampling_nm, ""
        sampling = None if sampling_nm is None else 10 * sampling_nm
        args = (item.path, aside, sampling, self.settings.device, not item.shared)
        item.job = Job(session.key, analyse, args)
        item.job.future.add_done_callback(lambda _, job=item.job: self._finish(item, job, aside))
        self.analyses.submit(item.job)

    def _finish(self, item: PageFile, job: Job, aside: Path) -> None:
        """In the worker's thread."""
        try:
            if job.state == "done" and item.path.exists():  # it may have been removed meanwhile
                move_report(aside, item.report)
            elif job.state == "failed":
                item.error = job.error
        except OSError as error:
            item.error = f"{item.name}: its report could not be kept ({error.strerror})"
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            item.look()
            item.job = None

    def cancel(self, item: PageFile) -> None:
        """End the analysis of an item."""
        if item.job is not None:
            self.analyses.cancel(item.job)

    def remove(self, session: Session, item: PageFile) -> None:
        """Forget an upload; what belongs to the folder stays."""
        if not item.shared:
            self.cancel(item)
            session.remove(item)

    def ask(self, session: Session, worker: Worker, function: Any, *args: Any) -> Job:
        """Queue something small."""
        return worker.submit(Job(session.key, function, args))
