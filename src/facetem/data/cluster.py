"""A Dask cluster as the makers of a data set: its workers write their shards, this process none.

Workers see the data set under the same path, through a shared file system, and have the same facetem installed. A
worker that is killed loses its shard to another; one shard is tried on several workers before the run gives up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import yaml

from facetem.core.errors import InputError
from facetem.data.publish import TEMPORARY, write_whole
from facetem.data.workers import Crew, LostError, Makers

KNOWN = ("distributed", "dask_jobqueue", "dask_cuda", "dask_kubernetes")  # where clusters may come from
PATIENCE = 120.0  # s, for the first worker to join
COUNTED = 15.0  # s, after which the workers are counted again
AHEAD = 2  # shards handed out for every thread of the workers: none waits for the next


def dask_makers(address: str, device: str = "cpu", patience: float = PATIENCE) -> Makers:
    """The workers of the Dask scheduler at `address`, as in tcp://host:8786.

    `device` is resolved by every worker. `patience` is the time [s] given to the first worker to join.

    Entering raises InputError if there is no scheduler, no worker, or a worker that cannot see the data set.
    """

    @contextmanager
    def start(path: Path) -> Iterator[Crew]:
        with connected(address, path, patience) as client:
            yield DaskCrew(client, path.resolve(), device)

    return start


@contextmanager
def connected(address: str, path: Path, patience: float = PATIENCE) -> Iterator[Any]:
    """A client of the Dask scheduler at `address`, whose workers see the folder `path`.

    Raises
    ------
    InputError
        If there is no scheduler, no worker, or a worker that cannot see the folder.
    """
    distributed = _distributed()
    try:
        client = distributed.Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"dask {address}: expected the address of a running scheduler, as in tcp://host:8786: {error}"
        ) from None
    with _quiet(), client:
        _await_workers(client, path, patience)
        yield client


def dask_cluster_makers(file: str | Path, device: str = "cpu", patience: float = PATIENCE) -> Makers:
    """The workers of a cluster that is started as a YAML file says, and ended after the work.

    The file holds `cluster`, a class as in dask_jobqueue.SLURMCluster, `options`, its arguments, and `workers`, how
    many to start. docs/cluster/ has examples.

    Raises
    ------
    InputError
        If the file cannot be read or names something else. Entering raises it if the cluster does not start.
    """
    kind, options, workers = read_cluster(file)

    @contextmanager
    def start(path: Path) -> Iterator[Crew]:
        distributed = _distributed()
        with _quiet(), ExitStack() as open_things:
            try:
                cluster = open_things.enter_context(_class_of(kind, file)(**options))
                if workers:
                    cluster.scale(workers)
            except (OSError, ValueError, TypeError, RuntimeError) as error:
                raise InputError(f"{file}: {kind} could not be started: {error}") from None
            client = open_things.enter_context(distributed.Client(cluster, set_as_default=False))
            _await_workers(client, path, patience)
            yield DaskCrew(client, path.resolve(), device)

    return start


def read_cluster(file: str | Path) -> tuple[str, dict[str, Any], int]:
    """Class, options and number of workers of a cluster in a YAML file; 0 workers: as the options say.

    Raises
    ------
    InputError
        One line that names the file and what is wrong.
    """
    try:
        told = yaml.safe_load(Path(file).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file}: expected a readable YAML file: {' '.join(str(error).split())}") from None
    if (
        not isinstance(told, Mapping)
        or set(told) - {"cluster", "options", "workers"}
        or "cluster" not in told
    ):
        raise InputError(f"{file}: expected the keys cluster, options and workers")
    kind, options, workers = str(told["cluster"]), told.get("options") or {}, told.get("workers") or 0
    if kind.split(".")[0] not in KNOWN or "." not in kind:
        raise InputError(f"{file}: cluster: expected a class of {', '.join(KNOWN)}, got {kind!r}")
    if not isinstance(options, Mapping) or not isinstance(workers, int) or workers < 0:
        raise InputError(f"{file}: expected options as a mapping and workers as a number")
    return kind, {str(key): value for key, value in options.items()}, workers


def _class_of(kind: str, file: str | Path) -> Any:
    module, name = kind.rsplit(".", 1)
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        raise InputError(f"{file}: cluster {kind}: {error}; install that package") from None
    except AttributeError:
        raise InputError(f"{file}: cluster: {module} has no {name}") from None


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError:
        raise InputError("dask: needs dask and distributed; pip install 'facetem[dask]'") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask's own account of a scheduler that is gone is a page long; `DaskCrew` says it in a line."""
    log = logging.getLogger("distributed.client")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def _await_workers(client: Any, path: Path, patience: float) -> None:
    try:
        client.wait_for_workers(1, timeout=patience)
    except TimeoutError:
        raise InputError(
            f"dask {client.scheduler.address}: no worker has joined within {patience:g} s"
        ) from None
    check_workers(client, path.resolve())


def check_workers(client: Any, path: Path) -> None:
    """Raise InputError if a worker does not see the data set at `path`, or has another facetem."""
    token = uuid4().hex
    name = f"{TEMPORARY}/token-{token}"
    write_whole(path, name, token.encode())
    try:
        told = client.run(_seen, str(path / name), on_error="return")
    finally:
        (path / name).unlink(missing_ok=True)
    for worker, found in told.items():
        if isinstance(found, Exception):
            raise InputError(f"dask worker {worker}: expected one with facetem installed: {found}")
        if found[0] != token:
            raise InputError(
                f"dask worker {worker}: does not see {path}; expected a file system that all workers share"
            )
        if found[1] != version("facetem"):
            raise InputError(f"dask worker {worker}: has facetem {found[1]}, expected {version('facetem')}")


def _seen(file: str) -> tuple[str, str]:
    """On a worker: what is in a file of the data set, and the version of facetem."""
    try:
        return Path(file).read_text(), version("facetem")
    except OSError:
        return "", version("facetem")


class DaskCrew:
    """The workers of a cluster; they may come and go."""

    def __init__(self, client: Any, path: Path, device: str) -> None:
        distributed = _distributed()
        self._client, self._path, self._device = client, path, device
        self._shards: dict[Any, int] = {}
        self._done = distributed.as_completed([], loop=client.loop)
        self._capacity, self._counted = 0, -COUNTED

    @property
    def capacity(self) -> int:
        if monotonic() - self._counted > COUNTED:
            self._capacity = max(1, AHEAD * sum(self._client.nthreads().values()))
            self._counted = monotonic()
        return self._capacity

    def submit(self, shard: int) -> None:
        from facetem.data.generate import make_shard

        key = f"make_shard-{shard}-{uuid4().hex}"
        future = self._client.submit(make_shard, str(self._path), shard, self._device, key=key, pure=False)
        self._shards[future] = shard
        self._done.add(future)

    def finished(self) -> tuple[int, Exception | None]:
        from distributed import KilledWorker

        future = next(self._done)
        shard = self._shards.pop(future)
        if future.status == "cancelled":
            raise InputError(
                f"dask {self._client.scheduler.address}: the scheduler is gone; start it, and the same goes on"
            )
        try:
            error = future.exception()
        except asyncio.CancelledError:
            raise InputError("dask: the scheduler is gone; start it, and the same goes on") from None
        if isinstance(error, KilledWorker):
            return shard, LostError("the workers that had it were killed")
        if error is not None and not isinstance(error, Exception):
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return shard, error
