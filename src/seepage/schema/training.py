"""What was audited, and how the reference models beside it were trained."""

from typing import Literal

from pydantic import Field

from seepage.schema.estimates import Estimate, ShareEstimate
from seepage.schema.saved import MOST_WORKERS, Part


class RunPlan(Part):
    """How the models of one run were trained: with the same version and seed, all that another machine must know."""

    engine: Literal["stacked", "single", "procedure"]
    chunk: int = Field(ge=1, description="models trained together; it decides the last bits")
    workers: int = Field(ge=0, le=MOST_WORKERS)
    device: Literal["cpu", "cuda"]
    n_models: int = Field(ge=1)
    trainings: str = Field(description="SHA-256 of what the models follow from: recipe, records, memberships, seed")


class Training(Part):
    """How the reference models were trained, and what they reach."""

    n_models: int
    engine: str
    workers: int
    chunk: int
    stacked_step_s: float | None = Field(description="seconds per model step, timed on this recipe")
    single_step_s: float | None
    seconds: float
    recipe: dict[str, object]
    plans: dict[str, RunPlan] = Field({}, description="of each run by its name, the controls' too: what replay follows")
    train_accuracy: ShareEstimate
    test_accuracy: ShareEstimate


class Target(Part):
    kind: str
    access: str
    n_targets: int
    n_queries: int = Field(description="records sent to the target, augmented copies included")
    accuracy_members: ShareEstimate
    accuracy_nonmembers: ShareEstimate
    fingerprint: str | None = Field(description="SHA-256 of the weights or the outputs")
    n_parameters: int | None = None
    calibration_error: Estimate | None = Field(None, description="of its answers on non-members, 15 equal bins")
    negative_log_likelihood: Estimate | None = Field(None, description="of its answers on non-members, in nats")
