"""The configuration of a comparison of defences."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from seepage.cli.specs.complaints import section_from
from seepage.cli.specs.fields import fields_of, filled
from seepage.cli.specs.parts import (
    OF_DATA,
    OF_RECIPE,
    DataConfig,
    PlantedConfig,
    RecipeConfig,
    Seeds,
    as_tuples,
    check_architecture,
    other_pools,
)
from seepage.cli.specs.reading import Task
from seepage.cli.specs.section import Section
from seepage.runs.run import Run
from seepage.studies.attacker import Attacker
from seepage.studies.draw import MOST_MODELS, Draw
from seepage.studies.settings import COMPARED, Settings

OfDraw = fields_of(Draw, "references", "every_model", "targets", "validation", "population", seeds=Seeds)
OfAttacker = fields_of(
    Attacker,
    "queries",
    attacks=list[str] | None,
    access=Literal["label", "probabilities", "logits"] | None,  # what every defence can be attacked by
)
OfSettings = fields_of(COMPARED, "alpha", "confidence", "prior", "rates", "controls")
OfRun = fields_of(Run, "engine", "workers")


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


class CompareConfig(OfDraw, OfAttacker, OfSettings, OfRun, Task):
    """Defences against attacks, on one data set."""

    aliases: ClassVar = {
        **OF_DATA,
        **OF_RECIPE,
        "canaries": ("canaries.n", "audit so many planted canaries too"),
        "canary-kind": "canaries.kind",
    }
    yaml_only = frozenset(
        {"every_model", "targets", "validation", "population", "queries", "access", "tolerance", "rate", "alpha"}
        | {"confidence", "prior", "rates", "controls", "engine", "seed", "other_nonmembers", "shadow_study"}
    )

    data: DataConfig = Field(description="a named data set (digits, adult, cifar10, ...) or a file of records")
    recipe: RecipeConfig = Field(RecipeConfig(), description="of the undefended model")
    defences: list[ChoiceConfig] = Field(
        min_length=1, description="names from 'seepage defences', with commas; of a CONFIG's rows those of these names"
    )
    floor: float | None = Field(
        None, ge=0, lt=1, description="validation accuracy that a defence may cost; its options are searched"
    )
    tolerance: float = Field(
        0.01, ge=0, lt=1, description="how much further below than the floor its test accuracy may be"
    )
    canaries: PlantedConfig | None = Field(None, description="audit planted records too")
    other_nonmembers: dict[str, DataConfig] | None = Field(
        None, description="further records that attacks are counted on"
    )
    shadow_study: ShadowStudyConfig | None = Field(None, description="count who else is called a member, on images")
    rate: float | None = Field(None, gt=0, lt=1, description="FPR and FNR at which TPR and TNR are told")
    seed: int = Field(0, ge=0, description="of the records drawn by data: limit")
    out: Path = Field(Path("comparison"), description="folder for runs, result and report")

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
        from seepage.data.files import no_labels
        from seepage.studies.compare import Choice, compare

        pool = (self.data if self.shadow_study is None else self.data.as_image_data()).pool(self.seed)
        if pool.labels is None:
            raise no_labels("data", self.data.file, options="data: {options: {label: NAME}}")
        choices = []
        for place, row in enumerate(self.defences):
            recipe = None
            if row.recipe:
                given = self.recipe.model_dump(exclude_unset=True) | row.recipe
                recipe = self._checked(section_from(RecipeConfig, given, f"defences[{place}].recipe"), pool).recipe()
            options = None if row.options is None else as_tuples(row.options)
            choices.append(Choice(row.name, options, recipe, row.references, row.label))
        config = self.model_dump(mode="json")
        return compare(
            pool,
            self._checked(self.recipe, pool).recipe(),
            choices,
            draw=filled(self, Draw),
            attacker=filled(self, Attacker),
            floor=self.floor,
            tolerance=self.tolerance,
            canaries=None if self.canaries is None else (self.canaries.kind, self.canaries.n),
            other_nonmembers=other_pools(self.other_nonmembers, self.seed),
            shadow_study=None if self.shadow_study is None else self.shadow_study.choices(),
            rate=self.rate,
            settings=filled(self, Settings),
            run=filled(self, Run, folder=self.out, seed=0, progress=progress, command=command, config=config),
        )

    @staticmethod
    def _checked(section: RecipeConfig, pool) -> RecipeConfig:
        check_architecture(section.architecture, section.options, pool.inputs.shape[1:], pool.n_classes, "recipe")
        return section
