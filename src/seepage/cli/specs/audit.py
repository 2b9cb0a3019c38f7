"""The configuration of an audit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge
from pydantic import Field

from seepage.cli.specs.fields import fields_of, filled
from seepage.cli.specs.parts import (
    OF_DATA,
    OF_RECIPE,
    CanariesConfig,
    DataConfig,
    ModelConfig,
    RecipeConfig,
    check_architecture,
    other_pools,
)
from seepage.cli.specs.reading import Task
from seepage.errors import InputError
from seepage.runs.run import Run
from seepage.studies.attacker import Attacker
from seepage.studies.draw import MOST_MODELS
from seepage.studies.settings import Settings

NEED_RECIPE = ("references", "replay")
WITHOUT_LABELS = "where nobody knows the labels, --no-labels (no_labels: true) audits without, which is weaker"


OfAttacker = fields_of(Attacker, "access", "queries", "layer", "known", attacks=list[str] | None)
OfSettings = fields_of(
    Settings, "alpha", "confidence", "delta", "prior", "rates", "show_records", "show_values", "controls"
)
OfRun = fields_of(Run, "engine", "workers", "keep_weights", replay=Path | None, seed=Annotated[int, Ge(0)])


class AuditConfig(OfAttacker, OfSettings, OfRun, Task):
    """One audit."""

    aliases: ClassVar = {
        **OF_DATA,
        **OF_RECIPE,
        "defence": "recipe.defence.name",
        "model": "model.file",
        "model-outputs": "model.outputs",
        "output-name": "model.output_name",
        "trust-code": "model.trust_code",
        "canaries": ("canaries.n", "plant so many canaries and judge them alone"),
        "canary-kind": "canaries.kind",
    }
    yaml_only = frozenset(
        {"membership", "options", "other_nonmembers", "confidence", "delta", "rates", "show_records", "controls"}
        | {"engine", "keep_weights"}
    )

    data: DataConfig | None = Field(
        None,
        description="records to train on, or of a model with a membership: a named data set (digits, ...) or a file",
    )
    membership: Path | None = Field(
        None, description="a .npz with 'members' (bool) and optional 'population', 'validation' and 'known' (bool)"
    )
    model: ModelConfig | None = None
    members: Path | None = Field(None, description="records that the model was trained on")
    nonmembers: Path | None = Field(None, description="records that it was not trained on")
    population: Path | None = Field(None, description="further records that no model was trained on")
    options: dict[str, Any] = Field({}, description="options of these three files, such as label: income")
    no_labels: bool = Field(False, description="the records have no labels: a weaker audit")
    float32: bool = Field(False, description="round the records to float32, as the model's own training did")
    outputs: Path | None = Field(None, description="a .npz of outputs that were computed elsewhere")
    other_nonmembers: dict[str, DataConfig] | None = Field(
        None, description="further records that attacks are counted on"
    )
    origin: Literal["declared", "unknown"] = Field(
        "unknown", description="declared where the members were chosen at random"
    )
    recipe: RecipeConfig | None = None
    references: int | None = Field(
        None, ge=0, le=MOST_MODELS, description="reference models to train, with a recipe; default: 64"
    )
    every_model: bool = Field(False, description="each reference takes its turn as the target")
    canaries: CanariesConfig | None = Field(None, description="plant canaries and judge them alone")
    defended: Path | None = Field(None, description="a folder that 'seepage defend' wrote: model, recipe, membership")
    out: Path = Field(Path("audit"), description="folder for run, result and report")

    @classmethod
    def _placed(cls, values: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
        has_model = values.get("model") or "model.file" in flags
        if has_model and "recipe.architecture" in flags:
            flags["model.architecture"] = flags.pop("recipe.architecture")
        given = {name for name in flags if name in ("data.name", "data.file")}
        if "data.options.label" in flags and not given:
            flags["options.label"] = flags.pop("data.options.label")  # of members and nonmembers
        if given and not values and not has_model:
            values["recipe"] = {}  # data alone ask for one; a file has said by itself what is trained
        return flags

    def run(self, *, progress: bool, command: str):
        """Carry out the audit."""
        if self.defended is not None:
            return self._run_defended(progress=progress, command=command)
        if self.recipe is None and (needing := [name for name in NEED_RECIPE if getattr(self, name) is not None]):
            if needing[0] == "replay":
                raise InputError("replay: goes with the whole command of that audit ('command' in its result.json)")
            if self.no_labels:
                raise InputError(
                    f"{needing[0]}: models are trained with labels, and no_labels: (--no-labels) says that there are "
                    f"none: leave --{needing[0].replace('_', '-')} out, or give the labels"
                )
            raise InputError(
                f"{needing[0]}: models are trained with recipe:, a key of the YAML file ('seepage init' writes one), "
                f"and there is none: give it, or leave --{needing[0].replace('_', '-')} out"
            )
        return self._run(progress=progress, command=command)

    def _run_defended(self, *, progress: bool, command: str):
        """Audit a defended model: references are trained with its own recipe, so the attacker knows the defence."""
        import numpy as np

        from seepage.cli.specs.defend import read_defended
        from seepage.studies.audit import audit_recipe
        from seepage.studies.audit.gather import DEFAULT_REFERENCES

        others = ("data", "membership", "members", "nonmembers", "population", "model", "outputs", "recipe", "canaries")
        if given := [name for name in others if getattr(self, name) is not None] + ["no_labels"] * self.no_labels:
            raise InputError(f"defended: brings its own data, model and recipe: leave out {', '.join(given)}")
        written, pool, made = read_defended(self.defended)
        membership = made.membership(
            references=DEFAULT_REFERENCES if self.references is None else self.references,
            known=self.known,
            rng=np.random.default_rng([self.seed, 2]),
        )
        return audit_recipe(
            written.recipe.recipe(),
            pool,
            membership,
            model=made.model,
            other_nonmembers=other_pools(self.other_nonmembers, self.seed),
            **self._options(progress, command),
        )

    def _options(self, progress: bool, command: str, *, known: int | float = 0) -> dict[str, Any]:
        """What every audit takes, whatever it is of."""
        config = self.model_dump(mode="json")
        return {
            "attacker": filled(self, Attacker, known=known),
            "settings": filled(self, Settings),
            "run": filled(self, Run, folder=self.out, progress=progress, command=command, config=config),
            "origin": self.origin,
        }

    def _run(self, *, progress: bool, command: str):
        import numpy as np

        from seepage.data import Membership, plant_in_turns
        from seepage.data.files import pools_from_files, read_arrays
        from seepage.models.files import load_model
        from seepage.studies.audit import audit, audit_outputs, audit_recipe
        from seepage.studies.audit.audit import VALIDATION
        from seepage.studies.audit.classes import pools_of
        from seepage.studies.audit.gather import DEFAULT_REFERENCES

        files = {
            name: getattr(self, name)
            for name in ("members", "nonmembers", "population")
            if getattr(self, name) is not None
        }
        records = dict(zip(files, pools_from_files(list(files.values()), self.options) if files else (), strict=True))
        if self.options and not files:
            given = ", ".join(self.options)
            raise InputError(f"options: {given} is of members:, nonmembers: and population:, and there are none")
        pool = self.data.pool(self.seed) if self.data else None
        if self.float32:
            records = {name: part.rounded() for name, part in records.items()}
            pool = pool and pool.rounded()
        self._check_labels(records if pool is None else records | {"data": pool})
        if len({(part.classes, part.n_classes) for part in records.values()}) > 1:
            records = dict(zip(records, pools_of(records)[0], strict=True))
        membership = None
        if self.membership is not None:
            if pool is None:
                raise InputError("membership: needs data:, the records that it is about")
            arrays = read_arrays(self.membership)
            if "known" in arrays and self.known:
                raise InputError(f"known: {self.membership} says which records are known: leave known: out")
            if "members" not in arrays:
                raise InputError(f"{self.membership}: expected an array 'members', got {', '.join(arrays) or 'none'}")
            membership = Membership.fixed(
                pool,
                members=arrays["members"],
                population=arrays.get("population", 0.0),
                validation=arrays.get("validation", 0.0),
                known=arrays.get("known", self.known),
                references=(DEFAULT_REFERENCES if self.references is None else self.references) if self.recipe else 0,
                origin=self.origin,
                rng=np.random.default_rng([self.seed, 2]),
            )
        if self.canaries is not None:
            if pool is None or self.recipe is None or self.model or membership is not None or self.known:
                raise InputError(
                    "canaries: need data: and recipe:, and neither a model, a membership nor known records"
                )
            pool, membership = plant_in_turns(
                pool,
                self.canaries.kind,
                n=self.canaries.n,
                models=DEFAULT_REFERENCES if self.references is None else self.references,
                validation=VALIDATION if "validation" in self.recipe.recipe().uses else 0.0,
                rng=np.random.default_rng([self.seed, 3]),
            )
        given = [pool] if pool is not None else list(records.values())
        input_shape = given[0].inputs.shape[1:] if given else None
        n_classes = max((part.n_classes for part in given if part.n_classes is not None), default=None)
        for where, section in (("recipe", self.recipe), ("model", self.model)):
            if given and section is not None and section.architecture is not None:
                check_architecture(section.architecture, section.options, input_shape, n_classes or 2, where)
        model = None
        if self.model is not None:
            model = load_model(
                self.model.file,
                architecture=self.model.architecture,
                options=self.model.options,
                input_shape=input_shape,
                n_classes=n_classes,
                output_name=self.model.output_name,
                trust_code=self.model.trust_code,
            )
        options = self._options(progress, command, known=0 if membership is not None else self.known)
        trained = {"recipe": self.recipe and self.recipe.recipe(), "references": self.references}
        outputs = {"model_outputs": self.model and self.model.outputs}
        if self.outputs is not None:
            given = {"data": pool, "model": model, "recipe": self.recipe, "every_model": self.every_model}
            given["other_nonmembers"] = self.other_nonmembers
            if others := [*records, *(name for name, value in given.items() if value)]:
                raise InputError(f"outputs: {others[0]}: does not go with outputs: give one or the other")
            return audit_outputs(self.outputs, **options)
        options["other_nonmembers"] = other_pools(self.other_nonmembers, self.seed)
        if records:
            if pool is not None or self.every_model:
                other = "data" if pool is not None else "every_model"
                raise InputError(f"{other}: does not go with members: and nonmembers:: give one or the other")
            if {"members", "nonmembers"} - set(records):
                raise InputError("members: and nonmembers: go together, got only one of them")
            return audit(model, **records, **trained, **outputs, **options)
        if pool is None:
            raise InputError(
                "expected a model with members: and nonmembers:, data: with a recipe:, or outputs:; got none "
                "(--model with --members and --nonmembers, --data, or --outputs)"
            )
        return audit_recipe(
            pool=pool, membership=membership, model=model, every_model=self.every_model, **trained, **outputs, **options
        )

    def _check_labels(self, records: Mapping[str, Any]) -> None:
        """Refuse records without labels, unless it was said that they have none, and then those with some."""
        from seepage.data.files import no_labels

        if self.no_labels and self.outputs is not None:
            raise InputError(
                "no_labels: (--no-labels) is about files of records; outputs say it by leaving the array 'labels' out"
            )
        for name, part in records.items():
            path = self.data.file if name == "data" else getattr(self, name)
            if part.labels is None and not self.no_labels:
                options = "data: {options: {label: NAME}}" if name == "data" else "options: {label: NAME}"
                raise no_labels(name, path, options=options, without=WITHOUT_LABELS)
            if part.labels is not None and self.no_labels:
                raise InputError(
                    f"no_labels: {path or part.name} has labels, and an audit with them is stronger: leave --no-labels "
                    "(no_labels:) out"
                )
