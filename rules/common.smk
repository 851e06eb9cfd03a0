"""Named helpers of the rules: paths that follow from the plan. No work is done here."""


def marker(environment):
    """The file that stands when an environment is complete."""
    return f"{env_dir(environment)}/{MARKER}"


def wanted_environments():
    """The environments of all engines of the experiment."""
    names = {PLAN.environment(engine) for engine in PLAN.engines}
    return [marker(name) for name in sorted(filter(None, names))]


def wanted_datasets(wildcards=None):
    """The prepared datasets of the experiment."""
    return [f"{PLAN.prepared(name)}/dataset.json" for name in PLAN.datasets]


def interpreter(wildcards):
    """The Python of an engine's environment; none for an engine in another language."""
    name = PLAN.environment(PLAN.engine(wildcards.engine))
    return f"{env_dir(name)}/bin/python" if name else ""


def place(wildcards):
    """Where a run stands below results/runs and results/attempts."""
    return Path(wildcards.machine, wildcards.dataset, wildcards.engine, wildcards.key, f"r{wildcards.rep}")


def calibrations(wildcards):
    """The sampler's calibration on this machine, before anything is measured with it here."""
    return [calibration_file(PLAN.root, PLAN.machine)] if PLAN.machine == PLAN.here else []


def attempts_to_make(wildcards):
    """Outcomes the index waits for: of every wanted run that is not finished, on its own machine."""
    if PLAN.machine != PLAN.here:
        return []
    return [f"results/attempts/{place}/{number}/outcome.json" for place, number in PLAN.todo.items()]


def order_priority(wildcards):
    """The earlier a run stands in the plan, the higher its priority; above all that is no training."""
    order = next(run.order for run in PLAN.runs if run.place == place(wildcards))
    return 1 + len(PLAN.runs) - order


def code(*rooms):
    """The core's modules a step is made of: a change in them makes its results anew."""
    return sorted(str(path) for room in rooms for path in Path("src/evenground", room).rglob("*.py"))
