"""Every engine computes what the reference computes: same weights, same batches, no dropout, same numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engines.support import (
    ACCELERATOR,
    ENGINES,
    REFERENCE,
    describe,
    finish,
    interpreter,
    lacking,
    parity,
    read,
    start,
    tolerance,
)
from evenground.protocol.parity import (
    CASES,
    TOLERANCES,
    Case,
    Tolerance,
    differences,
    disagreements,
    write_dataset,
)

# Every framework is imported, several times over.
pytestmark = pytest.mark.slow

BY_NAME = {case.name: case for case in CASES}
OTHERS = [
    name
    for name, folder in ENGINES.items()
    if name != REFERENCE and describe(folder).get("parity_command") and not lacking(folder)
]
# What is compared beside the specification itself: one default changed, and the case that has to show it.
MUTATIONS = {"adam_epsilon=1e-8": "mlp", "batch_norm_momentum=0.9": "cnn"}
# How many times the tolerance a changed default moves the results at least.
MOVES = {"cpu": 10, "cuda": 3}[ACCELERATOR]
PROBE = Path(__file__).with_name("probe_products.py")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Per case a folder with the dataset, the reference's initial weights and its results."""
    folder = tmp_path_factory.mktemp("parity")
    started = []
    for case in CASES:
        write_dataset(case, folder / case.name / "dataset")
        paths = [folder / case.name / "dataset", folder / case.name / "result.json"]
        export = ["--export-weights", str(folder / case.name / "weights")]
        started.append(parity(ENGINES[REFERENCE], *paths, *case.arguments(), *export))
    for process in started:
        finish(process)
    return folder


def compare(reference: Path, engine: str, case: Case, option: str = "") -> Tolerance:
    """Run `engine` from the reference's weights; how far its results are from the reference's."""
    folder = reference / case.name
    output = folder / f"{engine}-{option}.json"
    given = [*case.arguments(), "--weights", str(folder / "weights")]
    more = ["--option", option] if option else []
    finish(parity(ENGINES[engine], folder / "dataset", output, *given, *more))
    return differences(read(folder / "result.json"), read(output))


@pytest.fixture(scope="module")
def found(reference: Path) -> dict[tuple[str, str, str], Tolerance]:
    """The differences of all engines, by engine, case and changed option, found two at a time."""
    wanted = [(engine, case.name, "") for engine in OTHERS for case in CASES]
    wanted += [(engine, case, option) for engine in OTHERS for option, case in MUTATIONS.items()]
    with ThreadPoolExecutor(max_workers=2) as pool:
        differing = pool.map(
            lambda key: compare(reference, key[0], BY_NAME[key[1]], key[2]), wanted
        )
        return dict(zip(wanted, differing, strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("engine", OTHERS)
def test_parity_with_the_reference(
    found: dict[tuple[str, str, str], Tolerance], engine: str, case: Case
) -> None:
    differing = found[engine, case.name, ""]
    print(f"{engine}, {case.name}: {differing}")
    assert not disagreements(differing, tolerance(case.name)), differing


@pytest.mark.parametrize("engine", OTHERS)
def test_another_adam_epsilon_moves_the_losses(
    found: dict[tuple[str, str, str], Tolerance], engine: str
) -> None:
    differing = found[engine, "mlp", "adam_epsilon=1e-8"]
    print(f"{engine}: {differing}")
    assert differing.loss > MOVES * tolerance("mlp").loss


@pytest.mark.parametrize("engine", OTHERS)
def test_another_batch_norm_momentum_moves_only_statistics_and_logits(
    found: dict[tuple[str, str, str], Tolerance], engine: str
) -> None:
    differing, allowed = found[engine, "cnn", "batch_norm_momentum=0.9"], tolerance("cnn")
    print(f"{engine}: {differing}")
    assert differing.loss <= allowed.loss
    assert differing.statistics > 100 * allowed.statistics
    assert differing.logits > MOVES * allowed.logits


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "option", "case"),
    [
        ("keras", "jit_compile=true", "cnn"),
        ("keras", "run_eagerly=true", "odd"),
        ("keras", "feed=arrays", "cnn"),
        ("jax", "disable_jit=true", "odd"),
        ("jax", "convolution=direct", "cnn"),
        ("jax", "convolution=direct", "odd"),
        ("torch", "compile=true", "cnn"),
    ],
)
def test_options_change_how_not_what(reference: Path, engine: str, option: str, case: str) -> None:
    differing = compare(reference, engine, BY_NAME[case], option)
    assert not disagreements(differing, tolerance(case)), differing


def emulated(reference: Path, case: str, kind: str) -> Tolerance:
    """How far JAX on the processor moves with products of another kind, of `probe_products.py`."""
    folder, results = reference / case, []
    given = [
        "--dataset",
        str(folder / "dataset"),
        "--weights",
        str(folder / "weights"),
        "--threads",
        "2",
    ]
    scripts = [[str(PROBE), kind], [str(ENGINES["jax"] / "parity.py")]]
    for number, script in enumerate(scripts):
        output = folder / f"{kind}-{number}.json"
        words = [
            *script,
            *given,
            *BY_NAME[case].arguments(),
            "--accelerator",
            "cpu",
            "--output",
            str(output),
        ]
        finish(start([interpreter("jax"), *words]))
        results.append(read(output))
    return differences(*results)


@pytest.mark.parametrize("case", BY_NAME)
def test_what_a_gpu_may_differ_by_is_above_rounding_and_below_tf32(
    reference: Path, case: str
) -> None:
    allowed = TOLERANCES["cuda"][case]
    noisy, tf32 = emulated(reference, case, "3e-7"), emulated(reference, case, "tf32")
    print(f"{case}: noise {noisy}, TF32 {tf32}")
    assert not disagreements(noisy, allowed)
    assert tf32.loss > 10 * allowed.loss and tf32.logits > 2 * allowed.logits


@pytest.fixture
def on_a_gpu() -> None:
    """Skips where the tests are not asked to compute on one."""
    if ACCELERATOR != "cuda":
        pytest.skip("set EVENGROUND_TEST_ACCELERATOR=cuda on a machine with an NVIDIA GPU")


@pytest.mark.gpu
@pytest.mark.usefixtures("on_a_gpu")
@pytest.mark.parametrize("case", BY_NAME)
def test_the_reference_gives_the_processors_numbers_on_a_gpu(reference: Path, case: str) -> None:
    folder = reference / case
    given = [*BY_NAME[case].arguments(), "--weights", str(folder / "weights")]
    output = folder / "on-the-processor.json"
    finish(parity(ENGINES[REFERENCE], folder / "dataset", output, *given, accelerator="cpu"))
    differing = differences(read(output), read(folder / "result.json"))
    print(f"{case}: {differing}")
    assert not disagreements(differing, tolerance(case)), differing


@pytest.mark.gpu
@pytest.mark.usefixtures("on_a_gpu")
@pytest.mark.parametrize("case", ["mlp", "cnn"])
@pytest.mark.parametrize("engine", [REFERENCE, *OTHERS])
def test_tf32_is_seen_where_it_is_asked_for(reference: Path, engine: str, case: str) -> None:
    """Else the test of full float32 would show nothing. Cards before Ampere have no TF32."""
    pynvml = pytest.importorskip("pynvml")
    pynvml.nvmlInit()
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(pynvml.nvmlDeviceGetHandleByIndex(0))
    if major < 8:
        pytest.skip(f"a card of compute capability {major}.{minor} has no TF32")
    differing = compare(reference, engine, BY_NAME[case], "tf32=true")
    print(f"{engine}, {case}: {differing}")
    assert differing.loss > tolerance(case).loss


def result(**changed: Any) -> dict[str, Any]:
    return {
        "losses": [1.0, 2.0],
        "statistics": {"norm_1.moving_mean": [0.5]},
        "logits": [[1.0]],
        **changed,
    }


def test_equal_results_do_not_differ() -> None:
    assert differences(result(), result()) == Tolerance(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"losses": [1.0]}, "loss"),
        ({"losses": [1.0, None]}, "loss"),
        ({"losses": []}, "loss"),
        ({"statistics": {}}, "statistics"),
        ({"logits": [[1.0], [1.0]]}, "logits"),
        ({"logits": [[float("nan")]]}, "logits"),
    ],
)
def test_missing_or_broken_numbers_never_agree(changed: dict[str, Any], name: str) -> None:
    differing = differences(result(), result(**changed))
    assert disagreements(differing, Tolerance(1e9, 1e9, 1e9)) == [
        f"{name} differ by inf, allowed are 1e+09"
    ]


def test_the_data_of_a_case_are_always_the_same(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_dataset(BY_NAME["odd"], tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) == 5
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
