from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from subprocess import Popen

import pytest

from tests.fuzz.fuzz import Report, label_files, make_file, outcome_of, processes_of, run
from tests.fuzz.mutations import MUTATIONS
from tests.fuzz.quick import read_all
from tests.fuzz.seeds import MOST_BYTES, Seed, make_seeds

SEED = 16
"""The same files in each run, as long as FFmpeg writes the same clips."""


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Seed]:
    return make_seeds(tmp_path_factory.mktemp("seeds"))


def test_clips_in_all_usual_containers(seeds: list[Seed]) -> None:
    usual = {"mp4", "mov", "3gp", "matroska", "webm", "avi", "asf", "flv", "mpegts", "mpeg", "ogv", "gif", "mxf", "rm"}
    assert usual <= {seed.container for seed in seeds}
    assert len({seed.name for seed in seeds}) == len(seeds)
    assert max(len(seed.data) for seed in seeds) <= MOST_BYTES


def test_files_follow_from_the_seed_and_their_number(seeds: list[Seed]) -> None:
    files = [make_file(seeds, SEED, number) for number in range(300)]
    assert [make_file(seeds, SEED, number) for number in range(300)] == files
    assert {file.mutation for file in files} == set(MUTATIONS)
    assert sum(file.data == file.seed.data for file in files) < 30
    assert all(file.data for file in files)


def test_intact_clips_are_read(seeds: list[Seed], tmp_path: Path) -> None:
    for seed in seeds:
        path = tmp_path / f"{seed.name}{seed.suffix}"
        path.write_bytes(seed.data)
        read_all(path)


@pytest.mark.slow
def test_damaged_clips_give_one_result_or_one_typed_error_each(seeds: list[Seed], tmp_path: Path) -> None:
    report = run((make_file(seeds, SEED, number) for number in range(300)), tmp_path / "kept", 250)
    assert report.is_good, "\n".join([report.table([0, 1]), *report.commands, *report.faults])
    assert report.outcomes.total() == 300


def test_files_that_broke_nlvid_before(shared: Path, tmp_path: Path) -> None:
    files = sorted((shared / "videos" / "wild" / "damaged").iterdir())
    rows, problems = label_files(files, tmp_path / "rows.jsonl", 200)
    assert not problems
    outcomes = Counter(outcome_of(rows.get(file.name, []))[0] for file in files)
    assert not {"InternalError", "hang", "crash", "no row", "many rows"} & set(outcomes), outcomes


def test_what_counts_as_a_fault() -> None:
    failed = {"error": {"type": "InternalError", "message": "x"}}
    assert outcome_of([failed]) == ("InternalError", "x")
    assert outcome_of([{"predictions": []}]) == ("result", "")
    assert outcome_of([])[0] == "no row"
    assert outcome_of([failed, failed])[0] == "many rows"
    assert Report(Counter({("mp4", "join", "UnreadableVideo"): 1})).is_good
    assert not Report(Counter({("mp4", "join", "hang"): 1})).is_good
    assert not Report(commands=["exit status -11"]).is_good


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_that_are_left_are_found() -> None:
    with Popen(["sleep", "60"], start_new_session=True) as process:
        assert processes_of(process.pid)
        process.kill()
    assert not processes_of(process.pid)
