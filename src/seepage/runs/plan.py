"""How the models of a run are trained."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from seepage.runs.executor import MOST_WORKERS

# More than anybody has: a plan that is read from a file and says more is not one of ours.
MOST_MODELS = 1_000_000


@dataclass(frozen=True)
class Plan:
    """How a run's models are trained; frozen in the run's manifest when it starts.

    Attributes:
        engine: "stacked", "single", or "procedure" where the recipe has one.
        chunk: models trained and committed together (1 for the one-by-one engine).
        workers: processes; 0 trains in this one.
        device: "cpu" or "cuda".
        stacked_step_s, single_step_s: measured seconds for one step of one model; None where an engine
            could not run (`why` says so) or was not timed.
    """

    engine: Literal["stacked", "single", "procedure"]
    chunk: Annotated[int, Field(ge=1, le=MOST_MODELS)]
    workers: Annotated[int, Field(ge=0, le=MOST_WORKERS)]
    device: Literal["cpu", "cuda"]
    stacked_step_s: Annotated[float, Field(ge=0)] | None
    single_step_s: Annotated[float, Field(ge=0)] | None
    why: Annotated[str, Field(max_length=1000)]
