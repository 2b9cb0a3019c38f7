"""The configuration of a release of synthetic records."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from seepage.cli.specs.parts import MOST_EPOCHS, OF_DATA, DataConfig
from seepage.cli.specs.reading import Task
from seepage.errors import InputError


class SynthesiseConfig(Task):
    """Synthetic records in place of a data set's own."""

    aliases: ClassVar = {**OF_DATA, "compare-epsilon": "compare_epsilons"}
    yaml_only = frozenset({"network", "batch_size", "max_norm", "draw", "compare_epsilons"})

    data: DataConfig = Field(description="a named data set (digits, adult, fashion-mnist, ...) or a file of records")
    epsilon: float = Field(
        gt=0,
        allow_inf_nan=True,
        description="of metric privacy, per unit of distance of codes and per release; inf: no noise",
    )
    latent: int = Field(16, ge=1, description="dimensions of a code")
    clip: float | None = Field(None, gt=0, description="bound on a code's norm")
    labels: Literal["kept", "conditional", "per-class", "randomised-response"] = Field(
        "conditional", description="what becomes of the labels"
    )
    label_epsilon: float | None = Field(None, ge=0, description="of randomised response")
    releases: int = Field(1, ge=1, description="records made of each original")
    public: DataConfig | None = Field(None, description="records to train the networks on instead")
    network: Literal["auto", "mlp", "conv"] = "auto"
    epochs: int | None = Field(
        None, ge=1, le=MOST_EPOCHS, description="of the VAE; default: those that make 3,000 steps"
    )
    batch_size: int = Field(64, ge=1)
    noise_multiplier: float | None = Field(None, gt=0, description="train the networks by DP-SGD")
    max_norm: float = Field(1.0, gt=0)
    draw: bool = Field(True, description="draw values from what the decoder says; otherwise the likeliest")
    compare_epsilons: tuple[Annotated[float, Field(gt=0, allow_inf_nan=True)], ...] = Field(
        (), description="audit releases at these epsilons too, by the same networks; they are not written"
    )
    audit: bool = Field(False, description="keep half of the records from the networks and audit the release by them")
    seed: int = Field(0, ge=0, description="of the records that are drawn or held back; networks and noise have none")
    out: Path = Field(Path("synthetic.npz"), description=".npz, .csv or a folder")

    @classmethod
    def _placed(cls, values: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
        """The column of the labels is that of the public records too."""
        if "data.options.label" in flags and {"public.name", "public.file"} & set(flags):
            flags["public.options.label"] = flags["data.options.label"]
        return flags

    def run(self, *, progress: bool, command: str = "") -> dict[str, Any]:
        """Make the release, write it, and audit it where that is asked for.

        Returns:
            The number of records, the guarantee's sentences, those on the distances of codes (for the holder of the
            records), and the audit's result, None where that was not asked for.
        """
        import numpy as np

        from seepage.runs.run import Run
        from seepage.synthesis import NetworkOptions, synthesise

        self._check_compared()
        pool, holdout = self._pool(self.data), None
        rng = np.random.default_rng([self.seed, 6])
        if self.audit:
            rows = rng.permutation(len(pool))
            holdout, pool = (pool.subset(np.sort(part)) for part in np.array_split(rows, 2))
        options = {
            "clip": self.clip,
            "labels": self.labels,
            "label_epsilon": self.label_epsilon,
            "releases": self.releases,
            "public": None if self.public is None else self._pool(self.public),
            "draw": self.draw,
            "training": NetworkOptions(
                latent=self.latent,
                network=self.network,
                epochs=self.epochs,
                batch_size=self.batch_size,
                noise_multiplier=self.noise_multiplier,
                max_norm=self.max_norm,
            ),
        }
        made = synthesise(pool, epsilon=self.epsilon, run=Run(progress=progress), **options)
        made.save(self.out)
        audits = {}
        if holdout is not None:
            from seepage.studies.release.epsilons import audit_at_epsilons

            audits = audit_at_epsilons(made, pool, holdout, epsilons=self.compare_epsilons, seed=self.seed, **options)
        return {
            "n_records": len(made.pool),
            "sentences": made.guarantee.sentences,
            "distances": made.distances.sentences,
            "audit": self._saved(audits, command) if audits else None,
        }

    @property
    def audit_folder(self) -> Path:
        """Beside the release and not in it: what was measured on the originals is not to go with it."""
        return self.out.with_name(self.out.name + ".audit")

    def _saved(self, audits: dict[str, Any], command: str):
        """All settings in one result, with its pages, readable by their owner alone."""
        from seepage.studies.release import side_by_side
        from seepage.writing import make_folder

        about = {"seed": self.seed, "settings": self.model_dump(mode="json")}
        result = side_by_side(audits, **about, **({"command": command} if command else {}))
        make_folder(self.audit_folder)
        result.write(self.audit_folder)
        return result

    def _check_compared(self) -> None:
        if self.compare_epsilons and not self.audit:
            raise InputError("compare_epsilons only says which releases are audited: give audit (--audit) too")
        for epsilon in (*self.compare_epsilons, self.epsilon):
            if math.isnan(epsilon) or epsilon <= 0:
                raise InputError(f"epsilon must be a positive number, got {epsilon:g}")
        if len({self.epsilon, *self.compare_epsilons}) <= len(self.compare_epsilons):
            raise InputError(f"compare_epsilons must be others than epsilon={self.epsilon:g}, each once")

    def _pool(self, data: DataConfig):
        """The records as a release wants them: pictures as pictures, numbers in their own units."""
        own_units = {"digits": {"flat": False}, "adult": {"standardise": self.noise_multiplier is not None}}
        options = {**own_units.get(data.name or "", {}), **data.options}
        return data.model_copy(update={"options": options}).pool(self.seed)
