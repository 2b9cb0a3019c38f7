"""The audit's configuration: YAML or flags, one to one with the arguments in Python.

Every field has the default of the function that it goes to. An unknown key is an error that names the
closest one, and the resolved configuration is saved in the result.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seepage.errors import DataFileError, InputError, SeepageError, unknown_name


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """Records: a named data set or a file."""

    name: str | None = Field(None, description="a named data set: seepage audit --data digits")
    file: Path | None = Field(None, description="a .npz, .npy, .csv or .parquet file")
    options: dict[str, Any] = Field({}, description="options of the data set or of the file, such as label: income")
    limit: int | None = Field(None, ge=4, description="use this many records, drawn at random")

    @model_validator(mode="after")
    def _one_source(self):
        if (self.name is None) == (self.file is None):
            raise ValueError("give a name or a file, one of them")
        return self

    def pool(self, seed: int):
        import numpy as np

        from seepage.data import Pool, load

        pool = load(self.name, **self.options) if self.name else Pool.from_file(self.file, **self.options)
        if self.limit is not None and self.limit < len(pool):
            chosen = np.random.default_rng([seed, 1]).choice(len(pool), self.limit, replace=False)
            pool = pool.subset(np.sort(chosen))
        return pool


class ModelConfig(Section):
    """A trained model in a file."""

    file: Path
    architecture: str | None = Field(None, description="what safetensors or a state dict are the weights of")
    options: dict[str, Any] = Field({}, description="options of the architecture")
    outputs: Literal["logits", "probabilities", "labels"] | None = Field(None, description="what the model returns")
    trust_code: bool = Field(False, description="open files that run code, such as pickles")


class OptimiserConfig(Section):
    name: Literal["adam", "sgd"] = "adam"
    options: dict[str, Any] = Field({}, description="lr, weight_decay, momentum, ...")


class ScheduleConfig(Section):
    name: Literal["constant", "cosine", "steps"] = "constant"
    options: dict[str, Any] = {}


class AugmentationConfig(Section):
    flip: bool = True
    shift: int = Field(4, ge=0)


class RecipeConfig(Section):
    """How models are trained."""

    architecture: str = "mlp"
    options: dict[str, Any] = {}
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    epochs: float = Field(50, gt=0)
    batch_size: int = Field(64, ge=1)
    augmentation: AugmentationConfig | None = None
    stop_at_accuracy: float | None = None

    def recipe(self):
        from seepage.models import optimisers
        from seepage.models.architectures import ARCHITECTURES
        from seepage.models.recipe import Augmentation, Recipe, StopAt

        if self.architecture not in ARCHITECTURES:
            raise unknown_name("architecture", self.architecture, ARCHITECTURES)
        model = ARCHITECTURES[self.architecture]
        kinds = {"adam": optimisers.Adam, "sgd": optimisers.SGD}
        kinds |= {"constant": optimisers.Constant, "cosine": optimisers.Cosine, "steps": optimisers.Steps}
        return Recipe(
            model=partial(model, **self.options) if self.options else model,
            optimiser=_made(kinds[self.optimiser.name], self.optimiser.options, "recipe.optimiser.options"),
            schedule=_made(kinds[self.schedule.name], self.schedule.options, "recipe.schedule.options"),
            epochs=self.epochs,
            batch_size=self.batch_size,
            augmentation=self.augmentation and Augmentation(self.augmentation.flip, self.augmentation.shift),
            stop=self.stop_at_accuracy and StopAt(self.stop_at_accuracy),
        )


class CanariesConfig(Section):
    """Canaries: planted records, the only ones that are judged, every model in its turn."""

    kind: Literal["clean", "mislabelled", "blank", "ood", "near-duplicates"] = "mislabelled"
    n: int = Field(500, ge=4)


class AuditConfig(Section):
    """One audit."""

    data: DataConfig | None = Field(None, description="the pool; with a recipe, or with a model and a membership")
    membership: Path | None = Field(
        None, description="a .npz with 'members' (bool) and optional 'population' and 'known' (bool)"
    )
    members: Path | None = Field(None, description="records that the model was trained on")
    nonmembers: Path | None = Field(None, description="records that it was not trained on")
    population: Path | None = Field(None, description="further records that no model was trained on")
    options: dict[str, Any] = Field({}, description="options of these three files, such as label: income")
    model: ModelConfig | None = None
    outputs: Path | None = Field(None, description="a .npz of outputs that were computed elsewhere")
    origin: Literal["declared", "unknown"] = Field("unknown", description="declared: members were chosen at random")
    recipe: RecipeConfig | None = None
    references: int | None = Field(None, ge=0, description="with a recipe; default 64")
    every_model: bool = False
    canaries: CanariesConfig | None = Field(None, description="plant canaries and judge them alone")
    known: int | float = Field(0, ge=0, description="records whose membership the attacker knows: a count or a share")
    attacks: list[str] | None = Field(None, description="names from 'seepage attacks'; default: all that fit")
    access: Literal["label", "probabilities", "logits", "gradients", "weights"] | None = None
    queries: str = Field("none", description="augmented copies of images: flip, flip-shift, rotate, translate")
    layer: str | None = Field(None, description="whose output the features are; default: the penultimate")
    controls: bool = True
    alpha: float = Field(0.05, gt=0, lt=0.5)
    confidence: float = Field(0.95, gt=0, lt=1)
    delta: float = Field(1e-5, ge=0, lt=1)
    prior: float = Field(0.5, gt=0, lt=1)
    rates: list[float] = [0.1, 0.01, 0.001, 0.0]
    show_records: int = Field(20, ge=0)
    show_values: bool = False
    engine: Literal["stacked", "single"] | None = None
    workers: int | None = Field(None, ge=0)
    keep_weights: bool = False
    seed: int = Field(0, ge=0)
    out: Path = Path("audit")

    @classmethod
    def read(cls, path: Path | None, flags: dict[str, Any]) -> "AuditConfig":
        """The configuration of a YAML file, with flags over it.

        Raises:
            DataFileError: the file is missing or is not YAML.
            InputError: an unknown key or an unusable value.
        """
        values = _from_yaml(path)
        if any(name.startswith("data.") for name in flags):
            values["data"] = {}  # other data than the file's, whose options do not suit them
        if "architecture" in (flags := dict(flags)):
            section = "model" if values.get("model") or "model.file" in flags else "recipe"
            flags[f"{section}.architecture"] = flags.pop("architecture")
        for name, value in flags.items():
            _set(values, name.split("."), value)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise _readable(error, path or "the flags") from None

    def run(self, *, progress: bool, command: str):
        """Carry out the audit."""
        import numpy as np

        from seepage.auditing import Settings, audit
        from seepage.auditing.gather import DEFAULT_REFERENCES
        from seepage.data import Membership, plant
        from seepage.data.files import pools_from_files, read_arrays
        from seepage.models.files import load_model

        settings = Settings(
            alpha=self.alpha,
            confidence=self.confidence,
            delta=self.delta,
            prior=self.prior,
            rates=tuple(self.rates),
            show_records=self.show_records,
            show_values=self.show_values,
        )
        files = {
            name: getattr(self, name)
            for name in ("members", "nonmembers", "population")
            if getattr(self, name) is not None
        }
        records = dict(zip(files, pools_from_files(list(files.values()), self.options) if files else (), strict=True))
        pool = self.data.pool(self.seed) if self.data else None
        for name, part in records.items():
            if part.labels is None:
                raise InputError(
                    f"{name}: {getattr(self, name)} holds no labels: expected arrays 'inputs' and 'labels'"
                )
        if pool is not None and pool.labels is None:
            raise InputError("data: the records have no labels: name their column with data: options: {label: ...}")
        membership = None
        if self.membership is not None:
            if pool is None:
                raise InputError("membership: needs data:, the records that it is about")
            arrays = read_arrays(self.membership)
            if "members" not in arrays:
                raise InputError(f"{self.membership}: expected an array 'members', got {', '.join(arrays) or 'none'}")
            membership = Membership.fixed(
                pool,
                members=arrays["members"],
                population=arrays.get("population", 0.0),
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
            rng = np.random.default_rng([self.seed, 3])
            planted = plant(pool, self.canaries.kind, n=self.canaries.n, rng=rng)
            pool = planted.pool
            membership = Membership.canaries_in_turns(
                pool,
                canaries=planted.canaries,
                keep=planted.companions,
                models=DEFAULT_REFERENCES if self.references is None else self.references,
                population=0.2,
                rng=rng,
            )
        given = [pool] if pool is not None else list(records.values())
        input_shape = given[0].inputs.shape[1:] if given else None
        n_classes = max((part.n_classes for part in given), default=None)
        for where, section in (("recipe", self.recipe), ("model", self.model)):
            if given and section is not None and section.architecture is not None:
                _check_architecture(section.architecture, section.options, input_shape, n_classes, where)
        model = None
        if self.model is not None:
            model = load_model(
                self.model.file,
                architecture=self.model.architecture,
                options=self.model.options,
                input_shape=input_shape,
                n_classes=n_classes,
                trust_code=self.model.trust_code,
            )
        return audit(
            model,
            pool,
            membership,
            **records,
            outputs=self.outputs,
            recipe=self.recipe and self.recipe.recipe(),
            references=self.references,
            every_model=self.every_model,
            known=0 if membership is not None else self.known,
            attacks=self.attacks,
            access=self.access,
            model_outputs=self.model and self.model.outputs,
            queries=self.queries,
            layer=self.layer,
            origin=self.origin,
            controls=self.controls,
            settings=settings,
            out=self.out,
            keep_weights=self.keep_weights,
            engine=self.engine,
            workers=self.workers,
            progress=progress,
            command=command,
            config=self.model_dump(mode="json"),
            rng=self.seed,
        )


class StudyRecipeConfig(RecipeConfig):
    """How the plain models of a study are trained."""

    architecture: str = "cnn"


class TrustConfig(Section):
    """One honesty study: how often score-based attacks accuse records that no model was trained on."""

    data: DataConfig = Field(description="labelled images")
    recipe: StudyRecipeConfig = StudyRecipeConfig()
    smoothing: float = Field(0.0083, gt=0, lt=1, description="of the variant with label smoothing")
    weight_decay: float = Field(3e-4, gt=0, description="of the L2 variant")
    evaluated: int = Field(2500, ge=10, description="at most so many members, and records of each set")
    generator: str = Field("gan", description="gan: train one; none; or a .npz with 'images', uint8")
    gan_steps: int = Field(10_000, ge=1)
    gan_width: int = Field(32, ge=1)
    far: list[str] | None = Field(None, description="other data sets as non-members; default: those in the cache")
    doublings: int = Field(20, ge=0, le=60, description="scale inputs up to 2^doublings; 0: not at all")
    ray_records: int = Field(500, ge=1)
    prior: float = Field(0.5, gt=0, lt=1)
    confidence: float = Field(0.95, gt=0, lt=1)
    engine: Literal["stacked", "single"] | None = None
    workers: int | None = Field(None, ge=0)
    seed: int = Field(0, ge=0)
    out: Path = Path("trust")

    @classmethod
    def read(cls, path: Path | None, flags: dict[str, Any]) -> "TrustConfig":
        """The configuration of a YAML file, with flags over it; raises what `AuditConfig.read` raises."""
        values = _from_yaml(path)
        if {"data.name", "data.file"} & set(flags):
            values["data"] = {}  # other data than the file's, whose options do not suit them
        for name, value in flags.items():
            _set(values, name.split("."), value)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise _readable(error, path or "the flags", cls) from None

    def run(self, *, progress: bool, command: str):
        """Carry out the study."""
        from seepage.trust.nonmembers import as_images
        from seepage.trust.study import study
        from seepage.trust.world import Choices

        data = self.data
        if data.name == "digits":
            data = data.model_copy(update={"options": {"flat": False, **data.options}})
        pool = data.pool(self.seed)
        if pool.labels is None:
            raise InputError("data: the records have no labels: name their column with data: options: {label: ...}")
        as_images(pool.subset([0]))
        recipe = self.recipe
        _check_architecture(recipe.architecture, recipe.options, pool.inputs.shape[1:], pool.n_classes, "recipe")
        return study(
            pool,
            recipe=recipe.recipe(),
            out=self.out,
            choices=Choices(
                smoothing=self.smoothing,
                weight_decay=self.weight_decay,
                evaluated=self.evaluated,
                gan_steps=self.gan_steps,
                gan_width=self.gan_width,
                far=None if self.far is None else tuple(self.far),
                doublings=self.doublings,
                ray_records=self.ray_records,
                prior=self.prior,
                confidence=self.confidence,
            ),
            generator=None if self.generator == "none" else self.generator,
            engine=self.engine,
            workers=self.workers,
            progress=progress,
            command=command,
            config=self.model_dump(mode="json"),
            rng=self.seed,
        )


def _from_yaml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        values = yaml.safe_load(Path(path).read_text()) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise DataFileError(f"cannot read the configuration {path}: {error}") from None
    except yaml.YAMLError as error:
        raise DataFileError(f"{path} is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected keys and values, got {type(values).__name__}")
    return values


def _made(kind: type, options: dict[str, Any], where: str):
    known = list(kind.__dataclass_fields__)
    for name in options:
        if name not in known:
            raise unknown_name(f"key in {where}:", name, known)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"{where}: {kind.__name__} cannot be made of {options}: {error}") from None


def _check_architecture(name: str, options: dict[str, Any], input_shape, n_classes: int, where: str) -> None:
    """Build it once without memory: what YAML says may be of any type, and the code behind it expects the right one."""
    import torch

    from seepage.models.architectures import build

    try:
        with torch.device("meta"):
            build(name, input_shape, n_classes, **options)
    except SeepageError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{where}.options: '{name}' cannot be built with {options}: {reason}") from None


def _set(values: dict[str, Any], names: list[str], value: Any) -> None:
    for name in names[:-1]:
        if not isinstance(values.get(name), dict):
            values[name] = {}  # nothing there, or something that is no section: the flag stands
        values = values[name]
    values[names[-1]] = value


def _readable(error: ValidationError, where: str | os.PathLike, kind: type[Section] = AuditConfig) -> InputError:
    """The first complaint in one sentence; an unknown key, which may be why another is missing, goes before the rest
    and names the closest known one."""
    first = min(error.errors(), key=lambda complaint: complaint["type"] != "extra_forbidden")
    path = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        section = kind
        for name in path[:-1]:
            annotation = section.model_fields[name].annotation
            section = next(a for a in getattr(annotation, "__args__", (annotation,)) if a is not type(None))
        return InputError(f"{where}: {unknown_name('key', path[-1], section.model_fields)}")
    return InputError(f"{where}: {'.'.join(path) or 'configuration'}: {first['msg']}, got {first['input']!r}"[:400])


EXAMPLE = """\
# An audit by Seepage. Run it with: seepage audit audit.yaml
# Every key can be left out but where the records come from.

# 1. A pool and a recipe: target and references are trained for you.
data:
  name: digits              # or file: records.npz (arrays 'inputs' and 'labels'), .csv, .parquet
  # options: {label: income}
  # limit: 2000             # use this many records, drawn at random
recipe:
  architecture: mlp         # mlp, cnn, resnet18, wideresnet, densenet-bc
  options: {hidden: [128]}
  optimiser: {name: adam, options: {lr: 0.002}}
  epochs: 100
  batch_size: 64
references: 64
# every_model: true         # each reference takes its turn as the target: an audit of the recipe
# canaries: {kind: mislabelled, n: 500}   # plant canaries and judge them alone, every model in its turn

# 2. Or a trained model and two sets of records (instead of data and recipe).
# model: {file: model.safetensors, architecture: mlp, options: {hidden: [128]}}
# members: train.npz
# nonmembers: test.npz      # .csv and .parquet work too; then
# options: {label: income}  # name the column of the labels
# origin: declared          # if the members were chosen at random; otherwise leave it out

# 3. Or outputs alone.
# outputs: probs.npz        # 'probs' or 'logits' (samples, models, classes), 'labels', 'membership'

# attacks: [loss, lira-online, rmia-online]
# access: probabilities     # what the attacker may ask; default: logits where the model gives them
# known: 60                 # records whose membership the attacker knows, for few-shot attacks
# queries: flip             # none, flip, flip-shift, rotate, translate: augmented copies of images
alpha: 0.05                 # chance of a false alarm over all attacks together
delta: 1.0e-5
prior: 0.5                  # share of members among the records an attacker asks about
show_records: 20
show_values: false          # records' values stay out of the report
seed: 0
out: audit
"""
