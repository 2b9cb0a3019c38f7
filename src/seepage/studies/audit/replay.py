"""The plans that a saved audit was trained by, followed again, so that another machine gives the same bits."""

import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from seepage.errors import InputError
from seepage.runs.plan import Plan
from seepage.schema.audit import AuditResult
from seepage.schema.training import RunPlan
from seepage.version import __version__

_OTHERWISE = "replay the result of the same command, or leave replay out"


def recorded(plan: Plan, n_models: int, trainings: str) -> RunPlan:
    """A plan as it goes into a result."""
    return RunPlan(
        engine=plan.engine,
        chunk=plan.chunk,
        workers=plan.workers,
        device=plan.device,
        n_models=n_models,
        trainings=trainings,
    )


@dataclass(frozen=True)
class Replay:
    """The plan of each run of a saved audit."""

    path: Path
    plans: dict[str, RunPlan]

    @classmethod
    def of(cls, path: str | os.PathLike, *, seed: int) -> "Replay":
        """The plans in a result, which must be of this version and seed.

        Args:
            path: `result.json`, or the folder that holds it.
            seed: the root seed of the audit that follows them.

        Raises:
            DataFileError: there is no result.
            InputError: it holds no plan, or is of another version or seed.
        """
        result, path = AuditResult.load(path), Path(path)
        if result.training is None or not result.training.plans:
            raise InputError(
                f"{path} holds no plan to replay (nothing was trained, or an older version wrote it): leave replay out"
            )
        about = result.provenance
        here = {"seepage": __version__, "torch": metadata.version("torch"), "seed": seed}
        there = {name: getattr(about, name) for name in here}
        if differ := [f"{name} {there[name]} there, {here[name]} here" for name in here if there[name] != here[name]]:
            raise InputError(f"{path} cannot be replayed to the same numbers: {'; '.join(differ)}: {_OTHERWISE}")
        return cls(path, dict(result.training.plans))

    def plan(self, name: str, n_models: int, trainings: str) -> Plan:
        """The plan of a run.

        Args:
            name: of the run.
            n_models: how many models it trains.
            trainings: digest of what they follow from.

        Raises:
            InputError: it trained other models, or there was no such run.
        """
        there = self.plans.get(name)
        if there is None:
            raise InputError(
                f"{self.path} has no plan for the run '{name}', only for {', '.join(self.plans)}: {_OTHERWISE}"
            )
        if there.n_models != n_models:
            raise InputError(
                f"{self.path}: the run '{name}' trained {there.n_models} models, this one trains {n_models}: "
                f"{_OTHERWISE}"
            )
        if there.trainings != trainings:
            raise InputError(
                f"{self.path}: the run '{name}' trained other models (their recipe, records or memberships differ): "
                f"{_OTHERWISE}"
            )
        why = f"replayed from {self.path}"
        return Plan(there.engine, there.chunk, there.workers, there.device, None, None, why[:500])
