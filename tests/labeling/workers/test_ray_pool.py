"""Workers on a Ray cluster, with a job that has no models, and with labeling."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.workers.open_pool import check_workers, run_job
from edgeloop.labeling.workers.workers import Workers
from edgeloop.models.errors import UnavailableError
from tests.calls import Outcome
from tests.labeling.footage import Footage, Learned, tree
from tests.labeling.workers.cluster_job import ClusterJob, HeadStore, Item, make_job
from tests.waiting import until

if TYPE_CHECKING:
    from tests.labeling.workers.small_cluster import SmallCluster

ROOT = Path(__file__).parents[3]
WITHIN_S = 60

Rows = dict[int, tuple[str, str, str]]


def rows_here(job: ClusterJob, items: Sequence[Item]) -> Rows:
    return dict(run_job(job, items, Workers()))


def rows_there(
    cluster: SmallCluster, job: ClusterJob, items: Sequence[Item], count: int | None = None
) -> Rows:
    rows: Rows = {}
    for place, row in run_job(job, items, Workers(count, cluster.address)):
        assert place not in rows
        rows[place] = row
    return rows


def traces(job: ClusterJob, kind: str) -> list[str]:
    return sorted(path.name for path in job.traces.glob(f"{kind}-*"))


def test_rows_are_those_of_one_process(
    cluster: SmallCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """But for a frame that kills two workers, told in a line each; one that raises or is missing is a row.

    A third worker dies where the answer to the frames before is lost with the first.
    """
    job, items = make_job(tmp_path, odd={5: "raise", 11: "missing", 30: "kill"})
    there, here = rows_there(cluster, job, items), rows_here(job, items)
    told = [
        record.getMessage() for record in caplog.records if "workers are there" not in record.getMessage()
    ]
    assert len(told) in (2, 3)
    assert {re.sub(r"\d", "N", line) for line in told} == {
        "worker N: its process crashed or was killed; others go on with its frames"
    }
    shown = capfd.readouterr()
    assert [line for line in (shown.out + shown.err).splitlines() if "others go on" not in line] == []
    assert list(cluster.temporary.glob("edgeloop-*/*")) == []
    assert there.pop(30)[1:] == (
        "failed",
        "2 workers died while they handled it (its process crashed or was killed)",
    )
    del here[30]
    assert there == here
    assert there[5][1:] == ("failed", "ValueError: raise_005.jpg is")
    assert there[11][1:] == ("failed", "cannot be read (No such file or directory)")


def test_lost_node_costs_no_frame(
    cluster: SmallCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job, items = make_job(tmp_path, pause_s=0.4, together=3)
    node = cluster.add_node()
    rows: Rows = {}
    for place, row in run_job(job, items, Workers(3, cluster.address)):
        rows[place] = row
        if len(rows) == 1:
            cluster.remove_node(node)
    assert len(traces(job, "model")) == 1  # written once, for all workers of this machine
    assert rows == rows_here(job, items)
    assert [record.getMessage() for record in caplog.records if "others go on" in record.getMessage()] == [
        f"node {os.uname().nodename} is gone or out of reach; others go on with its frames"
    ]


def test_workers_that_see_no_frames_wait_for_room_and_run_on_another_processor(
    cluster: SmallCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The frames are sent, and the rest is told in two lines."""
    from edgeloop.labeling.workers.cluster.ray_actor import node_facts  # needs Ray

    facts = {**node_facts(), "wanted": {**node_facts()["wanted"], "CPU": "z80"}}
    monkeypatch.setattr("edgeloop.labeling.workers.cluster.ray_pool.node_facts", lambda: facts)
    monkeypatch.setattr("edgeloop.labeling.workers.cluster.ray_pool._TELL_S", 0)
    job, items = make_job(tmp_path, odd={0: "missing"})
    hidden = replace(job, store=HeadStore(job.store.folder, os.getpid()))
    assert rows_there(cluster, hidden, items, count=3) == rows_here(job, items)
    waiting, processor = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(r"\d of 3 workers are there; .* room on the cluster \(each needs 1 CPU\)", waiting)
    assert re.fullmatch(r"node \S+: CPU .* there, z80 here; .* results can differ there", processor)


def test_cluster_without_room_for_any_worker(
    cluster: SmallCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeloop.labeling.workers.cluster.ray_pool._NO_ROOM_S", 1)
    job, items = make_job(tmp_path)
    with pytest.raises(UnavailableError, match=r"had no room for one \(each needs 1 GPU\)"):
        rows_there(cluster, replace(job, gpus=1), items)


def test_other_version_is_refused(
    cluster: SmallCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"required": {"edgeloop": "0.0.1"}, "wanted": {}}
    monkeypatch.setattr("edgeloop.labeling.workers.cluster.ray_pool.node_facts", lambda: facts)
    job, items = make_job(tmp_path)
    with pytest.raises(
        UnavailableError, match=r"no worker can be started: node \S+: edgeloop .* 0\.0\.1 here"
    ):
        rows_there(cluster, job, items, count=1)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_head(cluster: SmallCluster, tmp_path: Path, sent: signal.Signals) -> None:
    """The files of a job that was killed are removed by the next."""
    make_job(tmp_path, pause_s=0.5)
    code = (  # a suite in the background of a shell ignores SIGINT, and its processes would too
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from tests.labeling.workers.cluster_job import label_slowly; import sys; label_slowly(*sys.argv[1:])"
    )
    head = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path, cluster.address], cwd=ROOT, stderr=subprocess.PIPE
    )
    with head:
        try:
            until(lambda: len(list((tmp_path / "traces").glob("worker-*"))) == 2, WITHIN_S)
            head.send_signal(sent)
            head.wait(WITHIN_S)
        finally:
            head.kill()
    workers = [int(path.name.partition("-")[2]) for path in (tmp_path / "traces").glob("worker-*")]
    until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), WITHIN_S)
    assert (list(cluster.temporary.glob("edgeloop-*/*")) == []) == (sent == signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:1", "no Ray cluster answers there .*ray start --head --disable-usage-stats"),
        ("local", "expected HOST:PORT, ray://HOST:PORT or auto"),
        ("auto", "no Ray cluster answers there"),
    ],
)
def test_no_cluster(address: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'edgeloop[ray]'")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UnavailableError, match=told):
        check_workers(Workers(ray=address))


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeloop.labeling.workers.open_pool.find_spec", lambda _: None)
    with pytest.raises(UnavailableError, match=r"pip install 'edgeloop\[ray\]'$"):
        check_workers(Workers(ray="auto"))


@pytest.mark.usefixtures("quick")
def test_labeling_makes_the_dataset_of_one_process(
    cluster: SmallCluster,
    footage: Footage,
    frames: Path,
    learned: Learned,
    whole: dict[str, bytes],
    tmp_path: Path,
    edgeloop: Callable[..., Outcome],
) -> None:
    """Both go on with what was learned once."""
    out = learned.go_on(LabelPlan(frames, footage.exemplars, tmp_path / "many")).out
    command = "label", frames, "-e", footage.exemplars, "-o", out, "--task", "segment"
    done = edgeloop(*command, "--ray", cluster.address)
    assert done.code == 0, done.err
    assert tree(out) == whole


def test_unreachable_cluster_is_told_before_anything_is_learned(
    footage: Footage, tmp_path: Path, edgeloop: Callable[..., Outcome]
) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'edgeloop[ray]'")
    command = "label", footage.frames, "-e", footage.exemplars, "-o", tmp_path / "out", "--ray", "127.0.0.1:1"
    done = edgeloop(*command)
    assert (done.code, done.out) == (69, "")
    assert done.err.startswith("edgeloop: error: --ray 127.0.0.1:1: no Ray cluster answers there (")
    assert len(done.err.splitlines()) == 1
