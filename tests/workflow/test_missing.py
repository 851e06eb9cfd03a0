"""Results that somebody deletes, changes or links: made again, or missed loudly; nothing is trained."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evenground.made import STEPS, record_of
from evenground.records.index import read_index
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
# What is done to the results, the files that are named for it (of each step the first one that is
# missing or changed), and the first step that is made again: those before it are not needed.
HARMS = {
    "links into a cache that is gone, and folders as in a tidy-up": (
        [
            break_link("index.json"),
            *(remove(name) for name in ("normalised", "tables", "verdicts.json", "figures")),
            remove("report.html"),
        ],
        ["index.json", "normalised/", "tables/", "figures/", "report.html"],
        "index",
    ),
    "a table of another commit, one half of a table, the list of the figures": (
        [
            of_another_commit("tables/runs.md"),
            remove("tables/arithmetic.md"),
            remove("figures/figures.json"),
        ],
        ["tables/runs.md", "tables/arithmetic.md", "figures/figures.json"],
        "tables",
    ),
    "a link of a table, verdicts of another commit, figures": (
        [
            break_link("tables/runs.csv"),
            of_another_commit("verdicts.json"),
            break_link(FIGURES[0]),
            *(remove(name) for name in FIGURES[1:]),
        ],
        ["tables/runs.csv", "verdicts.json", "figures/"],
        "tables",
    ),
    "what was made": (
        [remove(name) for name in ("made", "plan.json", "experiment.json")],
        [],
        "index",
    ),
    "all but complete.json": ([all_but_complete], [], "index"),
}


def written(copy: WorkingCopy) -> dict[str, int]:
    """When the record of each step was written, in ns."""
    return {step: record_of(copy.root / OUT, step).stat().st_mtime_ns for step in STEPS}


@pytest.mark.slow
@pytest.mark.parametrize(("harms", "named", "first"), HARMS.values(), ids=HARMS)
def test_what_is_missing_is_made_again(
    made: WorkingCopy, harms: Sequence[Callable[[Path], None]], named: Sequence[str], first: str
) -> None:
    before, times = drawn(made), written(made)
    for harm in harms:
        harm(made.root)
    said = say(made)
    assert NOTHING not in said
    for name in named:
        assert f"made again, with what follows: {OUT}/{name}" in said
    assert drawn(made) == before and made.trainings() == 0
    anew = [step for step, time in written(made).items() if time != times[step]]
    assert anew == list(STEPS[STEPS.index(first) :])


@pytest.mark.slow
def test_then_nothing_is_left_to_do(made: WorkingCopy) -> None:
    before = drawn(made)
    assert NOTHING in say(made)
    remove(FIGURES[0])(made.root)
    assert NOTHING not in say(made, "--dry-run"), "said beforehand"
    assert f"made again, with what follows: {OUT}/{FIGURES[0]} is missing" in say(made)
    assert drawn(made) == before and NOTHING in say(made)


@pytest.mark.slow
def test_older_claims_and_another_calibration(made: WorkingCopy) -> None:
    """As by `mv` or `rsync`: the claims are older than all that was made of those before."""
    claims, calibration = (
        made.root / "claims.yaml",
        next((made.root / "results/calibration").rglob("*.json")),
    )
    before, text, measured = drawn(made), claims.read_text(), calibration.read_text()
    for content, figure in (
        (text.replace("34.21 %", "34 %"), measured.replace('"measured": 2.0', '"measured": 3.0')),
        (text, measured),
    ):
        claims.write_text(content)
        os.utime(claims, (1, 1))
        calibration.write_text(figure)
        said, changed = say(made), content != text
        assert "made again, with what follows: claims.yaml is not what it was" in said
        assert ("34 %" in (made.root / OUT / "verdicts.json").read_text()) == changed
        assert ("3.0" in (made.root / OUT / "tables/calibration.csv").read_text()) == changed
    assert drawn(made) == before and made.trainings() == 0


@pytest.mark.slow
def test_a_contact_sheet_is_made_again_of_the_arrays_and_refused_if_it_was_changed(
    made: WorkingCopy,
) -> None:
    """Data prepared before there were contact sheets gets one; nothing is fetched or prepared."""
    before, raw = drawn(made), made.root / "data/raw"
    (sheet,) = (made.root / "results/contact_sheets").iterdir()
    (array,) = made.root.glob("data/prepared/*/*/train_images.npy")
    content, prepared_ns = sheet.read_bytes(), array.stat().st_mtime_ns
    name = sheet.relative_to(made.root)
    shutil.move(raw, made.root / "raw")
    sheet.unlink()
    assert f"made again, with what follows: {name} is missing" in say(made)
    assert sheet.read_bytes() == content and array.stat().st_mtime_ns == prepared_ns
    assert not raw.exists()
    sheet.write_bytes(content.replace(b'"label": 0', b'"label": 1', 1))
    said = say(made, ok=False)
    assert f"error: the contact sheet was changed since it was made ({sheet}): set it aside" in said
    sheet.unlink()
    say(made)
    assert drawn(made) == before and made.trainings() == 0
    shutil.move(made.root / "raw", raw)


def copied(made: WorkingCopy, to: Path) -> WorkingCopy:
    """A working copy in which all of this is drawn already."""
    shutil.copytree(made.root, to, symlinks=True)
    return WorkingCopy(to, dict(made.settings))


def run_of(copy: WorkingCopy) -> Path:
    """The folder of the first run."""
    return copy.root / str(read_index(copy.root / OUT / "index.json").runs[0].path)


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
def test_results_may_be_links_at_any_depth(made: WorkingCopy, tmp_path: Path) -> None:
    """First nothing is trained again; then all of it is, through links, to other bytes of the same names."""
    copy, disk = copied(made, tmp_path / "work"), tmp_path / "disk"
    before, run = drawn(copy), run_of(copy).relative_to(copy.root)
    rounds: list[list[Path | str]] = [
        [
            run / "samples.csv",
            run / "manifest.json",
            OUT / "index.json",
            OUT / "figures/figures.json",
            *(run, run.parents[3], OUT / "tables", OUT / "normalised"),
        ],
        ["results/runs", OUT, "results", "data/prepared"],
    ]
    for names in rounds:
        for name in names:
            linked(copy, str(name), disk / f"{str(name).replace('/', '_')}_of_another_name")
        say(copy)
        assert copy.trainings() == 0 and drawn(copy) == before, names
    copy.settings["epochs"] = 3
    say(copy)
    assert copy.trainings() == 2
    assert "no pictures" not in (copy.root / OUT / "figures/figures.json").read_text()


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
        say(copy, "runs")
        assert copy.trainings() == 2 and len(list(other.glob("*/*/*/*/r1/manifest.json"))) == 2
        assert NOTHING in say(copy, "runs")
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
def test_read_only_links_into_a_cache_are_replaced_for_an_ordinary_user(
    made: WorkingCopy, tmp_path: Path
) -> None:
    """As DVC lays out files with `hardlink`; Snakemake refuses to replace a read-only output."""
    copy, cache = copied(made, tmp_path / "work"), tmp_path / "cache"
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
def test_figures_of_an_engine_that_is_not_wanted_any_more_go(
    made: WorkingCopy, tmp_path: Path
) -> None:
    copy = copied(made, tmp_path / "work")
    first = drawn(copy)
    copy.settings["engines"] = copy.settings["engines"][:1]
    say(copy)
    gone = {name for name in first.keys() - drawn(copy).keys() if name.startswith("figures/")}
    assert {Path(name).stem for name in gone} >= {"timeline_tiny_fake_b"}


@pytest.mark.slow
def test_what_is_missing_of_a_sweep_is_made_again(tmp_path: Path) -> None:
    copy = fresh_copy(tmp_path)
    copy.settings |= {"repetitions": 1, "warm_up_examples": 0, "epochs": [2, 3]}
    copy.settings["engines"] = copy.settings["engines"][:1]
    say(copy)
    before = drawn(copy)
    assert copy.trainings() == 2
    gone = ("index.json", "tables/quality.csv", "figures/scaling_tiny_epochs_time.png")
    for name in gone:
        remove(name)(copy.root)
    said = say(copy)
    # What follows from the index is made again with it.
    assert f"{OUT}/index.json is missing" in said
    assert drawn(copy) == before and copy.trainings() == 0
