"""`environment.json` of a run: the machine, the libraries and the code it was made with."""

from __future__ import annotations

from evenground.analysis.runs import Run, restore_run
from evenground.gpus import judge as gpus
from evenground.judged import shown
from evenground.records.environment import ENVIRONMENT, Environment


def read_environment(run: Run) -> Environment:
    """The run's record, empty if it has none.

    Raises EvengroundError if the file is broken or is not the one of the manifest.
    """
    if ENVIRONMENT not in run.files:
        return Environment()
    where = run.folder / ENVIRONMENT
    return Environment.from_bytes(run.content(ENVIRONMENT), where, restore_run(run.folder))


def card_of(environment: Environment) -> dict[str, str]:
    """The known properties of a run's card by name, as text, without those that identify it."""
    if environment.gpu is None:
        return {}
    known = gpus.compared(environment.gpu)
    return {
        name: ", ".join(map(shown, parts)) for name, parts in known.items() if name != gpus.CARD
    }
