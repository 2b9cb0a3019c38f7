"""Sections that several commands share: data, models, recipes, canaries."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from seepage.cli.specs.section import Section
from seepage.errors import InputError, SeepageError, unknown_name

MOST_EPOCHS = 1_000_000
MOST_SEEDS = 10_000


def _counted(seeds: int | list[int]) -> list[int]:
    """A number of seeds as these seeds: 3 as 0, 1, 2."""
    found = list(range(min(seeds, MOST_SEEDS + 1))) if isinstance(seeds, int) else seeds
    if not 1 <= len(found) <= MOST_SEEDS:
        raise ValueError(f"must be from 1 to {MOST_SEEDS:,} seeds")
    return found


Seeds = Annotated[int | list[int], AfterValidator(_counted)]
CanaryKind = Literal["clean", "mislabelled", "blank", "ood", "near-duplicates"]
OF_DATA = {"label": ("data.options.label", "column of the labels, in .csv and .parquet files"), "limit": "data.limit"}
OF_RECIPE = {"architecture": "recipe.architecture", "epochs": "recipe.epochs"}


class DataConfig(Section):
    """Records: a named data set or a file."""

    name: str | None = Field(None, description="a named data set: seepage audit --data digits")
    file: Path | None = Field(None, description="a .npz, .npy, .csv or .parquet file")
    options: dict[str, Any] = Field({}, description="options of the data set or of the file, such as label: income")
    limit: int | None = Field(None, ge=4, description="use this many records, drawn at random; default: all")

    @model_validator(mode="after")
    def _one_source(self):
        if (self.name is None) == (self.file is None):
            raise ValueError("give a name or a file, one of them")
        return self

    def as_image_data(self) -> "DataConfig":
        """The same data for a task that is about images: digits come flat by default.

        Raises:
            InputError: the named set holds none. It is not loaded, and so not downloaded, to find that out.
        """
        from seepage.data import DATASETS

        if self.name in DATASETS and not DATASETS[self.name].images:
            images = ", ".join(name for name, source in DATASETS.items() if source.images)
            raise InputError(f"expected images, and '{self.name}' holds rows of a table: choose one of {images}")
        if self.name == "digits":
            return self.model_copy(update={"options": {"flat": False, **self.options}})
        return self

    def pool(self, seed: int):
        import numpy as np

        from seepage.data import load, read_file

        pool = load(self.name, **self.options) if self.name else read_file(self.file, **self.options)
        if self.limit is not None and self.limit < len(pool):
            chosen = np.random.default_rng([seed, 1]).choice(len(pool), self.limit, replace=False)
            pool = pool.subset(np.sort(chosen))
        return pool


def other_pools(sections: dict[str, DataConfig] | None, seed: int) -> dict[str, Any] | None:
    """Other non-members by name. The classes of another named set are not the target's: its labels are left out."""
    from dataclasses import replace

    if sections is None:
        return None
    pools = {name: section.pool(seed) for name, section in sections.items()}
    return {name: pool if sections[name].file else replace(pool, labels=None) for name, pool in pools.items()}


class ModelConfig(Section):
    """A trained model in a file."""

    file: Path = Field(description="a trained model: .safetensors, .pt, .onnx")
    architecture: str | None = Field(None, description="what safetensors or a state dict are the weights of")
    options: dict[str, Any] = Field({}, description="options of the architecture")
    outputs: Literal["logits", "probabilities", "labels"] | None = Field(None, description="what the model returns")
    output_name: str | None = Field(None, description="which output of an ONNX graph is read, where it has several")
    trust_code: bool = Field(False, description="open files that run code, such as pickles")


class OptimiserConfig(Section):
    name: Literal["adam", "sgd"] = "adam"
    options: dict[str, Any] = Field({}, description="lr, weight_decay, momentum, ...")


class ScheduleConfig(Section):
    name: Literal["constant", "cosine", "steps"] = "constant"
    options: dict[str, Any] = Field({})


class AugmentationConfig(Section):
    flip: bool = True
    shift: int = Field(4, ge=0)


class BestValidationConfig(Section):
    """Keep the epoch that does best on the validation records."""

    patience: int | None = Field(None, ge=1)
    least_gain: float = Field(0.0, ge=0, lt=1)


class DefenceConfig(Section):
    """A defence and its options."""

    name: str = Field(description="one of 'seepage defences'")
    options: dict[str, Any] = Field({}, description="an option of the defence; repeatable")

    def applied(self, recipe):
        from seepage.defences import defended

        return defended(recipe, self.name, **as_tuples(self.options))


class RecipeConfig(Section):
    """How models are trained, and how they answer."""

    architecture: str = Field("mlp", description="what to train, or what the weights of a given model belong to")
    options: dict[str, Any] = Field({})
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    epochs: float = Field(50, gt=0, le=MOST_EPOCHS, description="training epochs")
    batch_size: int = Field(64, ge=1)
    augmentation: AugmentationConfig | None = None
    stop_at_accuracy: float | None = None
    best_validation: BestValidationConfig | None = None
    defence: DefenceConfig | None = None

    def recipe(self):
        from seepage.models import optimisers
        from seepage.models.architectures import ARCHITECTURES
        from seepage.models.recipe import Augmentation, BestValidation, Recipe, StopAt

        if self.architecture not in ARCHITECTURES:
            raise unknown_name("architecture", self.architecture, ARCHITECTURES)
        model = ARCHITECTURES[self.architecture]
        kinds = {"adam": optimisers.Adam, "sgd": optimisers.SGD}
        kinds |= {"constant": optimisers.Constant, "cosine": optimisers.Cosine, "steps": optimisers.Steps}
        if self.stop_at_accuracy is not None and self.best_validation is not None:
            raise InputError("recipe: give stop_at_accuracy or best_validation, one of them")
        stop = self.stop_at_accuracy and StopAt(self.stop_at_accuracy)
        recipe = Recipe(
            model=partial(model, **self.options) if self.options else model,
            optimiser=made(kinds[self.optimiser.name], self.optimiser.options, "recipe.optimiser.options"),
            schedule=made(kinds[self.schedule.name], self.schedule.options, "recipe.schedule.options"),
            epochs=self.epochs,
            batch_size=self.batch_size,
            augmentation=self.augmentation and Augmentation(self.augmentation.flip, self.augmentation.shift),
            stop=BestValidation(**self.best_validation.model_dump()) if self.best_validation else stop,
        )
        return recipe if self.defence is None else self.defence.applied(recipe)


class PlantedConfig(Section):
    """Canaries for every row of a comparison: of one kind, or of the one that suits each defence best."""

    kind: CanaryKind | Literal["strongest"] = Field(
        "strongest", description="what the canaries are; strongest: for each defence those that it hides least"
    )
    n: int = Field(500, ge=4, description="audit so many planted canaries too")


class CanariesConfig(Section):
    """Canaries: planted records, the only ones that are judged, every model in its turn."""

    kind: CanaryKind = Field("mislabelled", description="what the canaries are")
    n: int = Field(500, ge=4, description="plant so many canaries and judge them alone")


def listed(text: str) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def as_tuples(options: dict[str, Any]) -> dict[str, Any]:
    """Options as frozen values take them: YAML knows lists only."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}


def made(kind: type, options: dict[str, Any], where: str):
    known = list(kind.__dataclass_fields__)
    for name in options:
        if name not in known:
            raise unknown_name(f"key in {where}:", name, known)
    try:
        return kind(**as_tuples(options))
    except (InputError, TypeError) as error:
        raise InputError(f"{where}: {kind.__name__} cannot be made of {options}: {error}") from None


def check_architecture(name: str, options: dict[str, Any], input_shape, n_classes: int, where: str) -> None:
    """Build it once without memory: what YAML says may be of any type, and the code behind it expects the right one."""
    import torch

    from seepage.data.files import MAX_BYTES
    from seepage.models.architectures import build

    try:
        with torch.device("meta"):
            module = build(name, input_shape, n_classes, **options)
        n_bytes = sum(weights.numel() * weights.element_size() for weights in module.parameters())
        if n_bytes > MAX_BYTES:
            raise ValueError(f"its weights have {n_bytes / 2**30:,.0f} GiB, which does not fit this machine's memory")
    except SeepageError:
        raise
    except (TypeError, ValueError, RuntimeError, OverflowError, MemoryError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{where}.options: '{name}' cannot be built with {options}: {reason}") from None
