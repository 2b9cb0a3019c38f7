"""The configuration of a comparison of defences."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from seepage.cli.specs.parts import DataConfig, PlantedConfig, RecipeConfig, as_tuples, check_architecture, other_pools
from seepage.cli.specs.reading import MOST_MODELS, Section, Task
from seepage.schema.saved import MOST_WORKERS


class ChoiceConfig(Section):
    """One row of the comparison."""

    name: str = Field(description="one of 'seepage defences'")
    options: dict[str, Any] | None = Field(None, description="of the defence; with a floor, none: search its grid")
    recipe: dict[str, Any] = Field({}, description="keys of the recipe that this row has otherwise")
    references: int | None = Field(None, ge=2, le=MOST_MODELS)
    label: str | None = None


class ShadowStudyConfig(Section):
    """Who else is called a member: a target and one shadow for each row, near, far and corrupted non-members."""

    evaluated: int = Field(2500, ge=10, description="at most so many members, and records of each set")
    near: list[str] | None = Field(
        None,
        description="blended, interpolated, warped, generated, or a .npz with 'images'; default: blended, warped",
    )
    gan_steps: int = Field(10_000, ge=1)
    gan_width: int = Field(32, ge=1)
    far: list[str] | None = Field(None, description="other data sets as non-members; default: those in the cache")
    attacks: list[str] | None = Field(None, description="registered attacks beside the source's three; default: ten")
    strict_rate: float = Field(0.01, gt=0, lt=1, description="share of own non-members at each strict threshold")
    doublings: int = Field(20, ge=0, le=60, description="scale inputs up to 2^doublings; 0: not at all")
    ray_records: int = Field(500, ge=1)

    def choices(self):
        """The same as a value of the study."""
        from seepage.studies.compare import ShadowStudy

        given = {name: getattr(self, name) for name in type(self).model_fields}
        return ShadowStudy(**{name: tuple(one) if isinstance(one, list) else one for name, one in given.items()})


class CompareConfig(Task):
    """Defences against attacks, on one data set."""

    data: DataConfig
    recipe: RecipeConfig = Field(RecipeConfig(), description="of the undefended model")
    defences: list[ChoiceConfig] = Field(min_length=1)
    attacks: list[str] | None = Field(None, description="names from 'seepage attacks'; default: those that fit")
    queries: str | None = Field(None, description="augmented copies of images; default: flip-shift")
    access: Literal["label", "probabilities", "logits"] | None = None
    seeds: list[int] = Field([0, 1, 2], min_length=1, description="one repetition each: members, weights")
    references: int = Field(64, ge=2, le=MOST_MODELS)
    every_model: bool = Field(True, description="each of the models is the target in its turn")
    targets: int = Field(1, ge=1, le=MOST_MODELS, description="without every_model: targets that share the references")
    validation: int | float = Field(0.1, ge=0, description="records held out to choose by: a share or a count")
    population: int | float = Field(0.2, ge=0, description="further records held out: a share or a count")
    floor: float | None = Field(None, ge=0, lt=1, description="validation accuracy that a searched defence may cost")
    tolerance: float = Field(0.01, ge=0, lt=1)
    canaries: PlantedConfig | None = Field(None, description="audit planted records too")
    other_nonmembers: dict[str, DataConfig] | None = Field(
        None, description="further records that attacks are counted on"
    )
    shadow_study: ShadowStudyConfig | None = Field(None, description="count who else is called a member, on images")
    rate: float | None = Field(None, gt=0, lt=1, description="FPR and FNR at which TPR and TNR are told")
    alpha: float = Field(0.05, gt=0, lt=0.5)
    confidence: float = Field(0.95, gt=0, lt=1)
    prior: float = Field(0.5, gt=0, lt=1, description="share of members that the predictive values assume")
    rates: list[float] = Field([0.1, 0.01, 0.001])
    controls: bool = False
    engine: Literal["stacked", "single"] | None = None
    workers: int | None = Field(None, ge=0, le=MOST_WORKERS)
    seed: int = Field(0, ge=0, description="of the records drawn by data: limit")
    out: Path = Path("comparison")

    @classmethod
    def _placed(cls, values: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
        """Of the file's rows, a flag keeps those that it names; names that are not there are taken with defaults."""
        if "defences" in flags:
            rows = values.get("defences") or []
            by_name: dict[str, list] = {}
            for row in rows if isinstance(rows, list) else ():
                if isinstance(row, dict):
                    by_name.setdefault(str(row.get("label") or row.get("name")), []).append(row)
            flags["defences"] = [row for name in flags["defences"] for row in by_name.get(name, [{"name": name}])]
        return flags

    def run(self, *, progress: bool, command: str):
        """Carry out the comparison."""
        from seepage.attacks import Attacker
        from seepage.data.files import no_labels
        from seepage.runs.run import Run
        from seepage.studies.audit import Settings
        from seepage.studies.compare import Choice, Draw, compare

        pool = (self.data if self.shadow_study is None else self.data.as_image_data()).pool(self.seed)
        if pool.labels is None:
            raise no_labels("data", self.data.file, options="data: {options: {label: NAME}}")
        choices = []
        for place, row in enumerate(self.defences):
            recipe = None
            if row.recipe:
                given = self.recipe.model_dump(exclude_unset=True) | row.recipe
                recipe = self._checked(RecipeConfig.of(given, f"defences[{place}].recipe"), pool).recipe()
            options = None if row.options is None else as_tuples(row.options)
            choices.append(Choice(row.name, options, recipe, row.references, row.label))
        return compare(
            pool,
            self._checked(self.recipe, pool).recipe(),
            choices,
            draw=Draw(
                seeds=self.seeds,
                references=self.references,
                every_model=self.every_model,
                targets=self.targets,
                validation=self.validation,
                population=self.population,
            ),
            attacker=Attacker(self.attacks, self.access, self.queries),
            floor=self.floor,
            tolerance=self.tolerance,
            canaries=None if self.canaries is None else (self.canaries.kind, self.canaries.n),
            other_nonmembers=other_pools(self.other_nonmembers, self.seed),
            shadow_study=None if self.shadow_study is None else self.shadow_study.choices(),
            rate=self.rate,
            settings=Settings(
                alpha=self.alpha,
                confidence=self.confidence,
                prior=self.prior,
                rates=tuple(self.rates),
                controls=self.controls,
            ),
            run=Run(
                self.out,
                engine=self.engine,
                workers=self.workers,
                progress=progress,
                command=command,
                config=self.model_dump(mode="json"),
            ),
        )

    @staticmethod
    def _checked(section: RecipeConfig, pool) -> RecipeConfig:
        check_architecture(section.architecture, section.options, pool.inputs.shape[1:], pool.n_classes, "recipe")
        return section
