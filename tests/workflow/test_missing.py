"""Results that somebody deletes, changes or links: made again, or missed loudly; nothing is trained."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from explain.made import as_user, give
from working_copy import WorkingCopy, fresh_copy

OUT = Path("results/native")
NOTHING = "Nothing to be done"


def drawn(copy: WorkingCopy) -> dict[str, bytes]:
    """Everything that is made of the runs, by its name; not what says when."""
    made = copy.root / OUT
    walked = [(Path(above), names) for above, _, names in os.walk(made, followlinks=True)]
    files = [above / name for above, names in walked if above.name != "made" for name in names]
    return {
        str(file.relative_to(made)): file.read_bytes() for file in files if file.name != "plan.json"
    }


def say(copy: WorkingCopy, *arguments: str, ok: bool = True) -> str:
    """What an invocation of everything says."""
    done = copy.call("--cores", "2", *arguments, ok=ok)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> WorkingCopy:
    """Everything is drawn of one run of each of two engines."""
    copy = fresh_copy(tmp_path_factory.mktemp("missing") / "work")
    copy.settings |= {"repetitions": 1, "warm_up_examples": 0}
    say(copy)
    assert copy.trainings() == 2
    return copy


def remove(name: str) -> Callable[[Path], None]:
    """Deletes a file or a folder of the results."""

    def harm(root: Path) -> None:
        path = root / OUT / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return harm


def break_link(name: str) -> Callable[[Path], None]:
    """Puts a link that leads nowhere in place of a file."""

    def harm(root: Path) -> None:
        (root / OUT / name).unlink()
        (root / OUT / name).symlink_to("/no/such/cache/ab/cdef")

    return harm


def all_but_complete(root: Path) -> None:
    """Deletes everything but the file that says that everything is there."""
    for path in (root / OUT).iterdir():
        if path.name != "complete.json":
            remove(path.name)(root)


def of_another_commit(name: str) -> Callable[[Path], None]:
    """Puts a file in place that is newer than all that it should be made of."""
    return lambda root: (root / OUT / name).write_text("of another commit")


FIGURES = (
    "figures/training_time.svg",
    "figures/timeline_tiny_fake_a.png",
    "figures/samples_tiny.csv",
)
HARMS = {
    "as in a tidy-up": [remove("tables"), remove(FIGURES[0]), remove("index.json")],
    "figures": [remove(name) for name in FIGURES[1:]],
    "the list of the figures": [remove("figures/figures.json")],
    "all figures": [remove("figures")],
    "one half of a table": [remove("tables/arithmetic.md")],
    "the page and what stands in it": [
        remove(name) for name in ("report.html", "verdicts.json", "normalised")
    ],
    "what was made": [remove(name) for name in ("made", "plan.json", "experiment.json")],
    "links into a cache that is gone": [
        break_link(name) for name in ("tables/runs.csv", "index.json", FIGURES[0])
    ],
    "files of another commit": [
        of_another_commit(name) for name in ("verdicts.json", "tables/runs.md")
    ],
    "all but complete.json": [all_but_complete],
}


@pytest.mark.slow
@pytest.mark.parametrize("harms", HARMS.values(), ids=HARMS)
def test_what_is_missing_is_made_again(
    made: WorkingCopy, harms: Sequence[Callable[[Path], None]]
) -> None:
    before = drawn(made)
    for harm in harms:
        harm(made.root)
    assert NOTHING not in say(made)
    assert drawn(made) == before and made.trainings() == 0


@pytest.mark.slow
def test_then_nothing_is_left_to_do(made: WorkingCopy) -> None:
    before = drawn(made)
    assert NOTHING in say(made)
    remove(FIGURES[0])(made.root)
    assert NOTHING not in say(made, "--dry-run"), "said beforehand"
    say(made)
    assert drawn(made) == before and NOTHING in say(made)


@pytest.mark.slow
def test_what_was_deleted_is_named(made: WorkingCopy) -> None:
    remove(FIGURES[0])(made.root)
    assert f"made again, with what follows: {OUT}/{FIGURES[0]} is missing" in say(made)


@pytest.mark.slow
def test_claims_in_whose_place_an_older_file_is_put_are_judged(made: WorkingCopy) -> None:
    """As by `mv` or `rsync`: it is older than all that was made of the claims before."""
    claims, before = made.root / "claims.yaml", drawn(made)
    text = claims.read_text()
    for content in (text.replace("34.21 %", "34 %"), text):
        claims.write_text(content)
        os.utime(claims, (1, 1))
        say(made)
        assert ("34 %" in (made.root / OUT / "verdicts.json").read_text()) == (content != text)
    assert drawn(made) == before and made.trainings() == 0


@pytest.mark.slow
def test_another_calibration_and_a_missing_record_of_a_run(made: WorkingCopy) -> None:
    before = drawn(made)
    calibration = next((made.root / "results/calibration").rglob("*.json"))
    content = calibration.read_text()
    calibration.write_text(content.replace('"measured": 2.0', '"measured": 3.0'))
    say(made)
    assert "3.0" in (made.root / OUT / "tables/calibration.csv").read_text()
    calibration.write_text(content)
    say(made)
    assert drawn(made) == before and made.trainings() == 0


def run_of(copy: WorkingCopy) -> Path:
    """The folder of the first run."""
    runs = json.loads((copy.root / OUT / "index.json").read_text())["runs"]
    return copy.root / runs[0]["path"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "harm"),
    [
        *(
            ("samples.csv", "missing"),
            ("environment.json", "changed"),
            ("outcome.json", "lost link"),
        ),
        *(
            ("manifest.json", "missing"),
            ("manifest.json", "changed"),
            ("manifest.json", "lost link"),
        ),
    ],
)
def test_a_run_that_lacks_a_file_is_missed_loudly(made: WorkingCopy, name: str, harm: str) -> None:
    """Nothing is drawn without it; what the message says to do loses nothing."""
    file, before = run_of(made) / name, drawn(made)
    content = file.read_bytes()
    file.unlink()
    if harm == "changed":
        file.write_bytes(content[: len(content) // 2])
    if harm == "lost link":
        file.symlink_to("/no/such/cache/ab/cdef")
    said = say(made, ok=False)
    assert f"./evenground aside {file.parent}" in said and name in said
    assert drawn(made) == before and made.trainings() == 0
    file.unlink(missing_ok=True)
    file.write_bytes(content)


@pytest.mark.slow
def test_a_run_that_nobody_wants_now_is_missed_too(made: WorkingCopy) -> None:
    """DVC would store what is left of it."""
    other = run_of(made).parent.with_name("0" * 16) / "r1"
    shutil.copytree(run_of(made), other)
    (other / "samples.csv").unlink()
    said = say(made, ok=False)
    assert "1 of 3 run folders are not whole: no samples.csv" in said and f"aside {other}" in said
    shutil.rmtree(other.parent)


@pytest.mark.slow
def test_what_the_message_says_brings_the_run_back(made: WorkingCopy) -> None:
    run = run_of(made)
    content = (run / "samples.csv").read_bytes()
    (run / "samples.csv").write_bytes(b"t\n")
    (line,) = (
        line for line in say(made, ok=False).splitlines() if "a recorded run was changed" in line
    )
    command = line[line.index("./evenground aside ") :].replace(
        "./evenground", f"{made.python} scripts/aside.py"
    )
    subprocess.run(
        command.replace("aside.py aside", "aside.py"), shell=True, cwd=made.root, check=True
    )
    say(made)
    assert made.trainings() == 1
    aside = made.root / "results/aside" / run.relative_to(made.root / "results")
    assert (aside / "samples.csv").read_bytes() == b"t\n" and len(content) > 2


def linked(copy: WorkingCopy, name: str, to: Path) -> None:
    """Move a folder or file to `to`, and leave a link behind."""
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(copy.root / name, to)
    (copy.root / name).symlink_to(to)


@pytest.mark.slow
def test_results_may_be_links_at_any_depth(tmp_path: Path) -> None:
    """First nothing is trained again; then all of it is, through links, to other bytes of the same names."""
    copy, disk = fresh_copy(tmp_path / "work"), tmp_path / "disk"
    copy.settings |= {"repetitions": 1, "warm_up_examples": 0}
    say(copy)
    before, run = drawn(copy), run_of(copy).relative_to(copy.root)
    assert copy.trainings() == 2
    rounds: list[list[Path | str]] = [
        [
            run / "samples.csv",
            run / "manifest.json",
            OUT / "index.json",
            OUT / "figures/figures.json",
        ],
        [run, run.parents[3], OUT / "tables", OUT / "normalised"],
        ["results/runs", OUT],
        ["results", "data/prepared"],
    ]
    for names in rounds:
        for name in names:
            linked(copy, str(name), disk / f"{str(name).replace('/', '_')}_of_another_name")
        say(copy)
        assert copy.trainings() == 0 and drawn(copy) == before, names
    copy.settings["epochs"] = 3
    say(copy)
    assert copy.trainings() == 2
    assert (
        "prepared data is not at hand" not in (copy.root / OUT / "figures/figures.json").read_text()
    )


@pytest.mark.slow
def test_runs_and_attempts_on_two_disks(tmp_path: Path) -> None:
    other = Path("/dev/shm") / f"evenground-{os.getpid()}"
    try:
        other.mkdir()
    except OSError as error:
        pytest.skip(f"no second file system: {error}")
    try:
        copy = fresh_copy(tmp_path / "work")
        copy.settings |= {"repetitions": 1, "warm_up_examples": 0}
        (copy.root / "results/runs").symlink_to(other)
        say(copy)
        assert copy.trainings() == 2 and len(list(other.glob("*/*/*/*/r1/manifest.json"))) == 2
        assert NOTHING in say(copy)
    finally:
        shutil.rmtree(other)


def test_a_disk_that_is_not_mounted_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    copy = fresh_copy(tmp_path / "work")
    (copy.root / "results/runs").symlink_to("/no/such/disk")
    said = say(copy, ok=False)
    assert (
        f"error: it is a link to /no/such/disk, which is not there ({copy.root}/results/runs)"
        in said
    )
    assert copy.trainings() == 0


@pytest.mark.slow
def test_a_table_that_goes_missing_during_the_invocation_is_missed(made: WorkingCopy) -> None:
    remove("tables/quality.md")(made.root)
    records = sorted((made.root / OUT / "made").glob("*[!n].json"))
    command = [
        made.python,
        "scripts/complete.py",
        "--machine",
        "this",
        "--output",
        str(OUT / "complete.json"),
    ]
    command += [
        "--index",
        str(OUT / "index.json"),
        "--figures",
        str(OUT / "figures/figures.json"),
        "--records",
    ]
    done = subprocess.run(
        [*command, *map(str, records)], cwd=made.root, capture_output=True, text=True
    )
    assert done.returncode == 1 and f"{OUT}/tables/quality.md is missing" in done.stderr
    say(made)


@pytest.mark.slow
def test_read_only_links_into_a_cache_are_replaced_for_an_ordinary_user(tmp_path: Path) -> None:
    """As DVC lays out files with `hardlink`; Snakemake refuses to replace a read-only output."""
    copy, cache = fresh_copy(tmp_path / "work"), tmp_path / "cache"
    copy.settings |= {"repetitions": 1, "warm_up_examples": 0}
    say(copy)
    before = drawn(copy)
    for name in before:
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(copy.root / OUT / name, cache / name)
        (cache / name).chmod(0o444)
    claims = copy.root / "claims.yaml"
    claims.write_text(claims.read_text().replace("34.21 %", "34 %"))
    give(tmp_path)
    command = [
        *as_user("ordinary"),
        copy.python,
        "-m",
        "snakemake",
        "--configfile",
        "settings.yaml",
    ]
    environ = {**copy.environ(), "HOME": str(tmp_path)}
    done = subprocess.run(
        [*command, "--cores", "2"], cwd=copy.root, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    changed = {name for name, content in drawn(copy).items() if content != before[name]}
    assert changed == {"verdicts.json", "report.html"}
    assert {name: (cache / name).read_bytes() for name in before} == before


@pytest.mark.slow
def test_figures_of_an_engine_that_is_not_wanted_any_more_go(tmp_path: Path) -> None:
    copy = fresh_copy(tmp_path)
    copy.settings |= {"repetitions": 1, "warm_up_examples": 0}
    say(copy)
    first = drawn(copy)
    copy.settings["engines"] = copy.settings["engines"][:1]
    say(copy)
    gone = {name for name in first.keys() - drawn(copy).keys() if name.startswith("figures/")}
    assert {Path(name).stem for name in gone} >= {"timeline_tiny_fake_b"}


@pytest.mark.slow
def test_what_is_missing_of_a_sweep_is_made_again(tmp_path: Path) -> None:
    """Of one part, and of what sets the parts beside each other."""
    copy = fresh_copy(tmp_path)
    copy.settings |= {"repetitions": 1, "warm_up_examples": 0, "epochs": [2, 3]}
    say(copy)
    before = drawn(copy)
    assert copy.trainings() == 4 and NOTHING in say(copy)
    for names in (
        ["parts/epochs-2/tables/quality.md", "tables/quality.csv"],
        ["figures/scaling_tiny_epochs_time.png", "index.json"],
    ):
        for name in names:
            remove(name)(copy.root)
        said = say(copy)
        assert NOTHING not in said and "parts/epochs-3/tables" not in said
        assert drawn(copy) == before and copy.trainings() == 0
