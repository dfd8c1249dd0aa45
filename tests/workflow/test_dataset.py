"""Data sets from end to end: whoever makes them and whatever happens, the same checksum in the end."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from facetem.app.cli import app
from facetem.data.make import sole_maker
from facetem.data.manifest import read_manifest
from facetem.data.publish import whole_shards

SIZE, SHARDS = 6, 16
N = SIZE * SHARDS
PATIENCE = 120.0  # s, for what takes seconds on an idle machine


def run(*words: object, status: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


def complaint(*words: object, status: int = 2) -> str:
    """The one line that a command says when it fails."""
    lines = run(*words, status=status).stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture(scope="session")
def recipe(small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a recipe whose specimens take hundredths of a second."""
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(yaml.safe_dump({**small, "stored": {"shard": SIZE}}))
    return path


@pytest.fixture(scope="session")
def reference(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set as one process makes it; not to be changed."""
    path = tmp_path_factory.mktemp("reference") / "store"
    said = run("dataset", "make", recipe, "-o", path, "--n", N - 1, "--workers", 1)
    assert f"{N} specimens in {SHARDS} shards ({N - 1} rounded up" in said.stdout
    return path


def checksum(path: Path) -> str:
    return read_manifest(path)["checksum"]


def same(path: Path, reference: Path) -> None:
    """Assert that two complete data sets hold the same, each file once, and nothing else."""
    assert checksum(path) == checksum(reference)

    def files(root: Path) -> dict[str, bytes]:
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    assert files(path) == files(reference)
    assert pd.read_parquet(path / "labels")["index"].tolist() == list(range(N))


def making(recipe: Path, path: Path, *words: object) -> list[str]:
    """The command that makes the data set, in a process of its own."""
    command = ["dataset", "make", recipe, "-o", path, "--n", N, *words]
    program = "from facetem.app.cli import main; main()"
    return [sys.executable, "-c", program, *(str(word) for word in command)]


def complaints(stderr: str) -> list[str]:
    """What was said on stderr, without the progress that slow machines are told."""
    return [line for line in stderr.splitlines() if not line.endswith((" left", "rate not known yet"))]


def _heed_interrupts() -> None:
    """A shell has what it runs in the background, these tests perhaps, ignore Ctrl-C, and their children would too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def started(*commands: list[str]) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are killed when the context ends."""
    processes = [
        subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=_heed_interrupts,
        )
        for command in commands
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition, and return what it gave."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError("waited in vain")


def workers_of(process: int) -> list[int]:
    """The processes that a client has started to make shards."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in listed if "spawn_main" in _command(int(child))]


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find the workers")
def test_whoever_is_killed_the_checksum_is_the_same(recipe: Path, reference: Path, tmp_path: Path) -> None:
    """Two processes; a random one is killed three times, then the client; then the same command goes on."""
    path, dice = tmp_path / "store", random.Random(5)
    command = making(recipe, path, "--workers", 2)
    with started(command) as (client,):
        for kills in range(1, 4):
            before = len(whole_shards(path))
            until(lambda: len(whole_shards(path)) > before)  # noqa: B023 - called at once
            victim = dice.choice(until(lambda: workers_of(client.pid)))
            os.kill(victim, signal.SIGKILL)
            assert client.poll() is None, f"the client ended after {kills} kills"
        before = len(whole_shards(path))
        until(lambda: len(whole_shards(path)) > before)
        orphans = workers_of(client.pid)
        client.kill()
        until(lambda: not any("spawn_main" in _command(orphan) for orphan in orphans))  # none outlives it
    made = {shard: (path / "shards" / f"{shard:05d}.json").stat().st_mtime_ns for shard in whole_shards(path)}
    assert len(made) < SHARDS
    assert "checksum" not in read_manifest(path)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert complaints(done.stderr) == []
    assert f"checksum {checksum(reference)}" in done.stdout
    same(path, reference)
    for shard, stamp in made.items():  # what was whole was not made again
        assert (path / "shards" / f"{shard:05d}.json").stat().st_mtime_ns == stamp


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_ends_the_workers(recipe: Path, tmp_path: Path) -> None:
    path = tmp_path / "store"
    with started(making(recipe, path, "--workers", 2, "--n", 50 * N)) as (client,):
        until(lambda: whole_shards(path))
        workers = workers_of(client.pid)
        client.send_signal(signal.SIGINT)
        said = client.communicate(timeout=PATIENCE)[1]
    assert (client.returncode, complaints(said)) == (130, ["facetem: interrupted"])
    assert not any("spawn_main" in _command(worker) for worker in workers)
    assert list((path / "tmp").iterdir()) == []


@pytest.mark.slow
def test_a_cluster_makes_the_same_and_the_client_no_shard(
    recipe: Path, reference: Path, tmp_path: Path
) -> None:
    """A scheduler and three workers, one of which is killed, speak over TCP on this machine."""
    pytest.importorskip("distributed")
    file, path = tmp_path / "scheduler.json", tmp_path / "store"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", ":0"]
    worker = [*dask, "worker", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    with started([*scheduler, "--scheduler-file", str(file)]):
        address = until(lambda: file.exists() and yaml.safe_load(file.read_text()))["address"]
        assert address.startswith("tcp://127.0.0.1:")
        here = ["--local-directory", str(tmp_path / "dask"), address]
        with (
            started(*[[*worker, *here]] * 3) as workers,
            started(making(recipe, path, "--dask", address)) as (client,),
        ):
            until(lambda: whole_shards(path) or client.poll() is not None)
            workers[0].kill()
            assert workers_of(client.pid) == []
            said, errors = client.communicate(timeout=PATIENCE)
            assert (client.returncode, complaints(errors)) == (0, [])
    assert f"checksum {checksum(reference)}" in said
    same(path, reference)


@pytest.mark.slow
def test_a_cluster_from_a_file(recipe: Path, reference: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": ":0"}
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump({"cluster": "distributed.LocalCluster", "options": options}))
    path = tmp_path / "store"
    done = subprocess.run(
        making(recipe, path, "--dask-cluster", file), capture_output=True, text=True, check=False
    )
    assert (done.returncode, complaints(done.stderr)) == (0, [])
    same(path, reference)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if (
        not hasattr(os, "geteuid")
        or os.geteuid() != 0
        or subprocess.run(mount, capture_output=True).returncode
    ):
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    recipe: Path, reference: Path, small_disk: Path
) -> None:
    (small_disk / "filler").write_bytes(bytes(14 * 2**20))
    path = small_disk / "store"
    command = making(recipe, path, "--workers", 2)
    full = subprocess.run(command, capture_output=True, text=True, check=False)
    assert full.returncode == 2
    done = len(whole_shards(path))
    assert 0 < done < SHARDS
    whole = f"{done} shard{'' if done == 1 else 's'}"
    assert complaints(full.stderr) == [
        f"facetem: {path}: No space left on device; {whole} whole, make room and the same goes on"
    ]
    assert list((path / "tmp").iterdir()) == []
    said = run("dataset", "verify", path).stdout
    assert said == f"{path}: {whole} as made; {SHARDS - done} of {SHARDS} are not made yet\n"
    (small_disk / "filler").unlink()
    run("dataset", "make", recipe, "-o", path, "--n", N, "--workers", 1)
    same(path, reference)


@pytest.fixture
def copy(reference: Path, tmp_path: Path) -> Path:
    """A copy of the data set, to be changed."""
    import shutil

    return shutil.copytree(reference, tmp_path / "copy")


def test_a_flipped_byte_is_found_and_remade(recipe: Path, reference: Path, copy: Path) -> None:
    assert run("dataset", "verify", copy).stdout == f"{copy}: {SHARDS} shards as made\n"
    bad = copy / "arrays" / "waves" / "c.7.0.0.0"
    content = bytearray(bad.read_bytes())
    content[1000] ^= 0xFF
    bad.write_bytes(content)
    found = run("dataset", "verify", copy, status=1)
    assert found.stdout == f"{bad}: checksum differs\n"
    assert "1 bad file in 1 of 16 shards" in found.stderr
    said = run("dataset", "make", recipe, "-o", copy, "--repair", "--workers", 1).stdout
    assert "1 bad shard to be made again" in said
    run("dataset", "verify", copy)
    same(copy, reference)


def test_a_larger_n_extends(recipe: Path, copy: Path) -> None:
    before = read_manifest(copy)
    run("dataset", "make", recipe, "-o", copy, "--n", N + 1, "--workers", 1)
    after = read_manifest(copy)
    assert after["samples"] == N + SIZE
    assert after["shards"][:SHARDS] == before["shards"]
    assert after["checksum"] != before["checksum"]


def test_info_tells_what_there_is(reference: Path) -> None:
    import json

    told = json.loads(run("dataset", "info", reference, "--json").stdout)
    assert told["specimens"] == N
    assert told["classes"] == {"cube": N // 2, "icosahedron": N // 2}
    assert told["checksum"] == checksum(reference)
    assert told["bytes"] == sum(
        p.stat().st_size
        for folder in ("arrays", "labels", "particles")
        for p in (reference / folder).rglob("*")
        if p.is_file() and p.name != "zarr.json"
    )
    table = run("dataset", "info", reference).stdout
    assert "icosahedron" in table
    assert "bytes per specimen" in table
    assert checksum(reference)[-8:] in table


def test_export_writes_images_and_labels(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facetem.data import sources

    monkeypatch.setattr(sources, "SHARD", SIZE, raising=False)
    said = run(
        "dataset", "export", reference, "-o", tmp_path / "out", "--to", "folders", "--n", 4, "--size", 64
    ).stdout
    assert said == f"{tmp_path / 'out'}: 4 images and labels.csv\n"
    assert len(pd.read_csv(tmp_path / "out" / "labels.csv")) == 4
    assert len(list((tmp_path / "out").glob("*/*.tif"))) == 4


def test_bad_input_is_one_line(recipe: Path, small: dict[str, Any], copy: Path, tmp_path: Path) -> None:
    make = ("dataset", "make")
    new = ("-o", tmp_path / "new", "--n", 4)
    assert "au-4-8nm" in complaint(*make, "nothing", *new)
    assert "nothing.yaml" in complaint(*make, tmp_path / "nothing.yaml", *new)
    assert "there is no data set" in complaint(*make, recipe, "-o", tmp_path / "new")
    assert "--n" not in complaint(*make, recipe, "-o", tmp_path / "new", "--n", 0)
    assert "workers: expected at least 1" in complaint(*make, recipe, *new, "--workers", 0)
    assert "--workers and --dask" in complaint(*make, recipe, *new, "--workers", 2, "--dask", "tcp://x:1")
    assert "cluster.yaml" in complaint(*make, recipe, *new, "--dask-cluster", tmp_path / "cluster.yaml")
    assert "made by facetem" in complaint("dataset", "verify", tmp_path)
    assert "made by facetem" in complaint("dataset", "info", tmp_path)
    assert "made by facetem" in complaint("dataset", "export", tmp_path, "-o", tmp_path / "o", "--to", "tiff")
    contradiction = tmp_path / "contradiction.yaml"
    contradiction.write_text(yaml.safe_dump({**small, "particles": {"diameter_nm": [4, 8]}}))
    assert "particles of up to 8 nm do not fit a field_nm of 4.8" in complaint(*make, contradiction, *new)
    assert "another recipe or split" in complaint(*make, recipe, "-o", copy, "--split", "test")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["contradiction.yaml", "copy"]


def test_two_makers_and_other_versions_are_one_line_and_nothing_is_lost(
    recipe: Path, reference: Path, copy: Path
) -> None:
    import json

    more = ("dataset", "make", recipe, "-o", copy, "--n", N + 1, "--workers", 1)
    with sole_maker(copy):
        assert "another run is making this data set" in complaint(*more)
    same(copy, reference)
    manifest = copy / "manifest.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**told, "facetem": "0.0.1"}))
    assert "made by facetem 0.0.1" in complaint(*more)
    manifest.write_text(json.dumps({**told, "format": 2}))
    for words in (more, ("dataset", "verify", copy), ("dataset", "info", copy)):
        assert "expected store format 6, got 2" in complaint(*words)
    manifest.write_bytes((reference / "manifest.json").read_bytes())
    same(copy, reference)
