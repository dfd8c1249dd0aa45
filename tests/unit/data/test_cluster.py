"""Files that describe clusters: what is read from them, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facetem.core.errors import InputError
from facetem.data.cluster import check_workers, dask_cluster_makers, read_cluster


def test_class_options_and_number_of_workers_are_read(tmp_path: Path) -> None:
    file = tmp_path / "slurm.yaml"
    file.write_text("cluster: dask_jobqueue.SLURMCluster\noptions: {cores: 1, memory: 4GB}\nworkers: 8\n")
    assert read_cluster(file) == ("dask_jobqueue.SLURMCluster", {"cores": 1, "memory": "4GB"}, 8)
    file.write_text("cluster: distributed.LocalCluster\n")
    assert read_cluster(file) == ("distributed.LocalCluster", {}, 0)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("cluster: [\n", "expected a readable YAML file"),
        ("workers: 3\n", "expected the keys cluster, options and workers"),
        (
            "cluster: os.system\n",
            "cluster: expected a class of distributed, dask_jobqueue.*, got 'os.system'",
        ),
        ("cluster: distributed.LocalCluster\nsize: 3\n", "expected the keys cluster, options and workers"),
        ("cluster: distributed.LocalCluster\nworkers: many\n", "workers as a number"),
        ("cluster: distributed.LocalCluster\noptions: 3\n", "options as a mapping"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(content)
    with pytest.raises(InputError, match=rf"cluster\.yaml: .*{told}"):
        dask_cluster_makers(file)


def test_a_class_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("cluster: distributed.NoSuchCluster\n")
    with (
        pytest.raises(InputError, match="distributed has no NoSuchCluster"),
        dask_cluster_makers(file)(tmp_path),
    ):
        pass


@pytest.mark.parametrize("name", ["slurm", "cuda", "local"])
def test_the_documented_files_are_read(repository: Path, name: str) -> None:
    kind, options, _ = read_cluster(repository / "docs" / "cluster" / f"{name}.yaml")
    assert kind.endswith("Cluster")
    assert options


class Workers:
    """A client of one worker, which answers as `answer` does."""

    def __init__(self, answer: Callable[[Callable[[str], Any], str], Any]) -> None:
        self.answer = answer

    def run(self, function: Callable[[str], Any], file: str, on_error: str) -> dict[str, Any]:
        return {"tcp://worker:1": self.answer(function, file)}


def test_workers_must_see_the_data_set_and_know_facetem(tmp_path: Path) -> None:
    check_workers(Workers(lambda function, file: function(file)), tmp_path)
    with pytest.raises(InputError, match=f"tcp://worker:1: does not see {tmp_path}; expected a file system"):
        check_workers(Workers(lambda function, file: function(file + "-elsewhere")), tmp_path)
    with pytest.raises(InputError, match=r"tcp://worker:1: has facetem 9\.9, expected"):
        check_workers(Workers(lambda function, file: (function(file)[0], "9.9")), tmp_path)
    with pytest.raises(InputError, match="tcp://worker:1: expected one with facetem installed: No module"):
        check_workers(Workers(lambda function, file: ImportError("No module named 'facetem'")), tmp_path)
    assert list((tmp_path / "tmp").iterdir()) == []
