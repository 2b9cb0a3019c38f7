"""The configuration of a study of model inversion."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from seepage.cli.specs.complaints import section_from
from seepage.cli.specs.fields import fields_of
from seepage.cli.specs.parts import (
    MOST_EPOCHS,
    OF_RECIPE,
    DataConfig,
    ModelConfig,
    OptimiserConfig,
    RecipeConfig,
    Seeds,
    as_tuples,
    check_architecture,
    listed,
)
from seepage.cli.specs.reading import Task
from seepage.cli.specs.section import Section
from seepage.errors import InputError
from seepage.runs.run import Run
from seepage.studies.settings import Settings

FULL = "full"


class AttackConfig(Section):
    """One attack and its options."""

    name: str = Field(description="one of 'seepage inversions'")
    options: dict[str, Any] = Field({})
    label: str | None = None


class TargetConfig(Section):
    """One model to attack."""

    name: str = Field(description="undefended, null, shuffled, or one of 'seepage defences'")
    options: dict[str, Any] | None = Field(None, description="of the defence")
    sweep: bool = Field(False, description="one target for each setting of the defence's grid")
    label: str | None = None
    recipe: dict[str, Any] = Field({}, description="keys of the recipe that this target has otherwise")


class BudgetConfig(Section):
    """What an attack may spend on an image."""

    steps: int = Field(200, ge=1, description="updates of an image")
    restarts: int = Field(1, ge=1, description="tries for an image; the best one is kept")
    queries: int = Field(2000, ge=1, description="of attacks without gradients, and for choosing a start")


class PriorConfig(Section):
    """Where the attacker's idea of an image comes from."""

    generator: str | None = Field(None, description="in place of a GAN on public images: dcgan-faces or a .safetensors")
    samples: int = Field(0, ge=0, description="images of that generator that join the public ones")
    steps: int = Field(2000, ge=1, description="training steps of a GAN")
    width: int = Field(32, ge=1, description="channels of a GAN at half the image's side")
    batch_size: int = Field(64, ge=2)


class InversionRecipeConfig(RecipeConfig):
    """How targets are trained."""

    architecture: str = Field("cnn", description="what to train, or what the weights of a given model belong to")


class JudgeConfig(RecipeConfig):
    """How the judge is trained: another architecture than the target's."""

    architecture: str = "cnn"
    options: dict[str, Any] = Field({"widths": [48, 96, 192], "convolutions": 2})
    optimiser: OptimiserConfig = OptimiserConfig()
    epochs: float = Field(30, gt=0, le=MOST_EPOCHS)


class InvertConfig(fields_of(Settings, "alpha", "confidence"), fields_of(Run, "device", "workers"), Task):
    """Reconstruct what the classes of a model look like, and judge how like they are."""

    aliases: ClassVar = {
        "limit": "data.limit",
        "model": "model.file",
        "trust-code": "model.trust_code",
        "attack": "attacks",
        "steps": "budget.steps",
        "restarts": "budget.restarts",
        "generator": "prior.generator",
        "samples": "prior.samples",
        "prior-steps": "prior.steps",
        "judge": "judge",
        **OF_RECIPE,
    }
    yaml_only = frozenset({"held_out", "targets", "random", "for_judge", "fisher", "alpha", "confidence"})

    data: DataConfig = Field(
        description="labelled images: of private classes, and of public ones where public is not given; "
        "a named data set (digits, quickdraw, ...) or a file"
    )
    public: DataConfig | None = Field(None, description="the attacker's images; default: the other classes of data")
    private: int | float | list[str | int] | None = Field(
        None, description="private classes: a number, a share or names; default: all with public, otherwise half"
    )
    attacked: int | None = Field(None, ge=2, description="private classes that are inverted; default: all")
    held_out: float = Field(0.3, gt=0, lt=1, description="share of each private class that is not trained on")
    model: ModelConfig | None = Field(None, description="attack this model instead of training one")
    nonmembers: DataConfig | None = Field(None, description="with model: images of its classes it was not trained on")
    recipe: InversionRecipeConfig = InversionRecipeConfig()
    judge: JudgeConfig | str = Field(
        JudgeConfig(),
        description="an embedder: sface or an .onnx; or, in a file, how one is trained; default: train one",
    )
    targets: list[TargetConfig] = Field([TargetConfig(name="undefended")], min_length=1)
    attacks: list[AttackConfig] | None = Field(
        None, min_length=1, description="names from 'seepage inversions'; default: those that suit most targets"
    )
    budget: BudgetConfig | Literal["full"] = Field(
        BudgetConfig(), description="for all attacks; full: what each source gives"
    )
    prior: PriorConfig = PriorConfig()
    images_per_class: int = Field(1, ge=1, description="reconstructions of each class")
    random: int = Field(200, ge=1, description="random codes that the target chooses from, beside the searches")
    for_judge: float = Field(
        0.5, ge=0, lt=1, description="share of each public class that the judge is taught and no attack has"
    )
    seeds: Seeds = Field([0], description="the whole study once for each: a list, or how many, from 0 on")
    fisher: bool = Field(True, description="Fisher information of each layer")
    show_records: bool = Field(False, description="put private images beside reconstructions into the report")
    seed: int = Field(0, ge=0, description="of which classes are private, attacked and held out")
    out: Path = Field(Path("inversion"), description="folder for run, result and report")

    @classmethod
    def _placed(cls, values: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
        """The targets that --defences, --sweep and --controls mean; the budget of --full-budget."""
        if flags.pop("full_budget", False):
            if {"budget.steps", "budget.restarts"} & set(flags):
                raise InputError("--full-budget sets steps and restarts: leave out --steps and --restarts")
            flags["budget"] = FULL
        names, sweep, controls = (flags.pop(name, None) for name in ("defences", "sweep", "controls"))
        if sweep and names is None and not controls:
            raise InputError("--sweep goes through the grids of --defences: name some")
        if names is not None or controls:
            rows = [{"name": name, "sweep": bool(sweep)} for name in listed(names or "")]
            ends = [{"name": "null"}, {"name": "shuffled"}] if controls else []
            flags["targets"] = [{"name": "undefended"}, *rows, *ends]
        if "recipe.architecture" in flags and "model.file" in flags:
            flags["model.architecture"] = flags.pop("recipe.architecture")
        return flags

    @field_validator("targets", "attacks", mode="before")
    @classmethod
    def _names(cls, rows: Any) -> Any:
        """A name alone stands for a row with defaults; YAML reads null as nothing."""
        if not isinstance(rows, list):
            return rows
        return [
            {"name": "null" if row is None else row} if row is None or isinstance(row, str) else row for row in rows
        ]

    def run(self, *, progress: bool, command: str):
        """Carry out the study."""
        from seepage.inversion import find_inversion
        from seepage.inversion.priors import PriorOptions
        from seepage.runs.run import Run
        from seepage.studies.invert import Choice, InversionAttacker, InversionDraw, InversionSettings, invert

        pool, members = self._pool()
        check_architecture(
            self.recipe.architecture, self.recipe.options, pool.inputs.shape[1:], pool.n_classes, "recipe"
        )
        public = None if self.public is None else self.public.as_image_data().pool(self.seed)
        attacks = None
        if self.attacks is not None:
            attacks = {
                row.label or row.name: find_inversion(row.name, **as_tuples(row.options)) for row in self.attacks
            }
            if len(attacks) < len(self.attacks):
                raise InputError("attacks: two rows have one name: give one of them a label")
        return invert(
            pool,
            self.recipe.recipe(),
            model=None if self.model is None else self._model(pool),
            members=members,
            targets=[Choice(r.name, _options(r), r.sweep, r.label, self._recipe(r, pool)) for r in self.targets],
            judge=self._judge(pool),
            draw=InversionDraw(
                private=self.private,
                attacked=self.attacked,
                held_out=self.held_out,
                for_judge=self.for_judge,
                seeds=self.seeds,
            ),
            attacker=InversionAttacker(
                attacks=attacks,
                budget=None if self.budget == FULL else self._budget(),
                images_per_class=self.images_per_class,
                public=public,
                priors=PriorOptions(steps=self.prior.steps, width=self.prior.width, batch_size=self.prior.batch_size),
                generator=self._generator(pool),
                samples=self.prior.samples,
            ),
            settings=InversionSettings(
                alpha=self.alpha,
                confidence=self.confidence,
                random=self.random,
                fisher=self.fisher,
                show_records=self.show_records,
            ),
            run=Run(
                self.out,
                seed=self.seed,
                device=self.device,
                workers=self.workers,
                progress=progress,
                command=command,
                config=self.model_dump(mode="json"),
            ),
        )

    def _pool(self):
        """The private images, and which of them a model that is there was trained on."""
        import numpy as np

        from seepage.data import Pool
        from seepage.data.files import no_labels
        from seepage.models.images import as_images

        pool = self.data.as_image_data().pool(self.seed)
        images = as_images(pool)  # an architecture would complain of records that are none in other words
        if pool.labels is None:
            raise no_labels("data", self.data.file, options="data: {options: {label: NAME}}", flag=False)
        if (self.model is None) != (self.nonmembers is None):
            raise InputError(
                "a model of your own needs both: model, and nonmembers (images of its classes that it was not trained "
                "on, by which the judge's and the model's accuracy are known)"
            )
        if self.nonmembers is None:
            return pool, None
        others = self.nonmembers.as_image_data().pool(self.seed)
        if others.labels is None:
            raise no_labels(
                "nonmembers", self.nonmembers.file, options="nonmembers: {options: {label: NAME}}", flag=False
            )
        if None not in (pool.classes, others.classes) and pool.classes != others.classes:
            raise InputError("nonmembers: expected the classes of data, under the same numbers, got others")
        both = [images, as_images(others)]
        if both[0].shape[1:] != both[1].shape[1:]:
            raise InputError(f"nonmembers: expected images of shape {both[0].shape[1:]}, got {both[1].shape[1:]}")
        labels = np.concatenate([pool.labels, others.labels])
        whole = Pool(np.concatenate(both), labels, name=pool.name, classes=pool.classes, scale=1 / 255)
        return whole, np.arange(len(whole)) < len(pool)

    def _model(self, pool):
        from torch import nn

        from seepage.models.files import load_model

        if self.model.outputs not in (None, "logits"):
            raise InputError(
                f"model: inversion searches by logits, the scores before softmax, and this one is said to return "
                f"{self.model.outputs}: give one that returns logits"
            )
        loaded = load_model(
            self.model.file, architecture=self.model.architecture, options=self.model.options or None,
            input_shape=tuple(pool.inputs.shape[1:]), n_classes=pool.n_classes,
            trust_code=self.model.trust_code,
        )  # fmt: skip
        if not isinstance(loaded.model, nn.Module):
            raise InputError(
                f"inversion searches with a model's gradients, and {self.model.file} ({loaded.format}) gives none: "
                "give its weights as .safetensors with their architecture"
            )
        return loaded.model

    def _recipe(self, row: TargetConfig, pool):
        if not row.recipe:
            return None
        given = self.recipe.model_dump(exclude_unset=True) | row.recipe
        section = section_from(InversionRecipeConfig, given, f"targets: {row.label or row.name}: recipe")
        check_architecture(section.architecture, section.options, pool.inputs.shape[1:], pool.n_classes, "recipe")
        return section.recipe()

    def _budget(self):
        from seepage.inversion import Budget

        return Budget(**self.budget.model_dump())

    def _judge(self, pool):
        from seepage.studies.invert.evaluators import Embedder

        if not isinstance(self.judge, str):
            shape = pool.inputs.shape[1:]
            check_architecture(self.judge.architecture, self.judge.options, shape, pool.n_classes, "judge")
            return self.judge.recipe()
        if self.judge == "sface":
            from seepage.data.weights import weights

            return Embedder.open(weights("sface"))
        path = Path(self.judge)
        return Embedder.open(
            path, name=path.stem, about="an embedder; a class is the mean of its images", threshold=-1.0
        )

    def _generator(self, pool):
        if self.prior.generator is None:
            if self.prior.samples:
                raise InputError("prior: samples are of a generator: name one with prior: {generator: ...}")
            return None
        from seepage.inversion.priors.adapters import open_generator

        return open_generator(self.prior.generator, tuple(pool.inputs.shape[1:]))


def _options(row: TargetConfig) -> dict[str, Any] | None:
    return None if row.options is None else as_tuples(row.options)
