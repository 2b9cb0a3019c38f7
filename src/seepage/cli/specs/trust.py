"""The configuration of an honesty study."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from pydantic import Field

from seepage.cli.specs.fields import fields_of
from seepage.cli.specs.parts import OF_RECIPE, DataConfig, RecipeConfig, check_architecture
from seepage.cli.specs.reading import Task
from seepage.runs.run import Run
from seepage.studies.settings import Settings

MOST_SEEDS = 20


class StudyRecipeConfig(RecipeConfig):
    """How the plain models of a study are trained."""

    architecture: str = Field("cnn", description="what to train")


class TrustConfig(
    fields_of(Settings, "prior", "confidence"), fields_of(Run, "engine", "workers", seed=Annotated[int, Ge(0)]), Task
):
    """One honesty study: how often score-based attacks accuse records that no model was trained on."""

    aliases: ClassVar = {"limit": "data.limit", **OF_RECIPE}
    yaml_only = frozenset({"gan_width", "strict_rate", "ray_records", "confidence", "engine"})

    data: DataConfig = Field(description="labelled images: a named data set (cifar10, digits, ...) or a file")
    recipe: StudyRecipeConfig = StudyRecipeConfig()
    smoothing: float = Field(0.0083, gt=0, lt=1, description="of the variant with label smoothing")
    weight_decay: float = Field(3e-4, gt=0, description="of the L2 variant")
    evaluated: int = Field(2500, ge=10, description="at most so many members, and records of each set")
    near: list[str] | None = Field(
        None,
        description="near non-members: blended, interpolated, warped, generated (trains a GAN), or a .npz with 'images'; or none; "
        "default: blended,warped",
    )
    gan_steps: int = Field(10_000, ge=1, description="training steps of the generator")
    gan_width: int = Field(32, ge=1)
    far: list[str] | None = Field(
        None, description="other data sets as non-members, or none; default: those in the cache"
    )
    attacks: list[str] | None = Field(
        None, description="registered attacks beside the source's three, or none; default: ten"
    )
    variants: list[str] | None = Field(None, description="variants of the model, standard among them; default: all six")
    strict_rate: float = Field(0.01, gt=0, lt=1, description="share of own non-members at each strict threshold")
    doublings: int = Field(20, ge=0, le=60, description="scale inputs up to 2^doublings; 0: not at all")
    ray_records: int = Field(500, ge=1)
    seeds: int = Field(1, ge=1, le=MOST_SEEDS, description="studies of as many seeds, from `seed` on, and their means")
    out: Path = Field(Path("trust"), description="folder for run, result and report")

    @classmethod
    def _placed(cls, values: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
        """ "none" is a list without names."""
        lists = {name: flags[name] for name in ("near", "far", "attacks") if name in flags}
        return flags | {name: [one for one in given if one != "none"] for name, given in lists.items()}

    def run(self, *, progress: bool, command: str):
        """Carry out the study, or one of each seed in folders of their own, and their means."""
        from seepage.studies.trust.seeds import combined

        if self.seeds == 1:
            return self._study(self.seed, self.out, progress, command)
        results = [
            self._study(seed, self.out / f"seed-{seed}", progress, command)
            for seed in range(self.seed, self.seed + self.seeds)
        ]
        result = combined(results, confidence=self.confidence)
        result.write(self.out)
        return result

    def _study(self, seed: int, out: Path, progress: bool, command: str):
        from seepage.data.files import no_labels
        from seepage.models.images import as_images
        from seepage.studies.trust.near import check_near
        from seepage.studies.trust.study import study
        from seepage.studies.trust.world import Choices

        near = None if self.near is None else check_near(self.near)
        pool = self.data.as_image_data().pool(seed)
        if pool.labels is None:
            raise no_labels("data", self.data.file, options="data: {options: {label: NAME}}", flag=False)
        as_images(pool.subset([0]))
        recipe = self.recipe
        check_architecture(recipe.architecture, recipe.options, pool.inputs.shape[1:], pool.n_classes, "recipe")
        return study(
            pool,
            recipe=recipe.recipe(),
            out=out,
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
                attacks=None if self.attacks is None else tuple(self.attacks),
                variants=None if self.variants is None else tuple(self.variants),
                strict_rate=self.strict_rate,
            ),
            near=near,
            engine=self.engine,
            workers=self.workers,
            progress=progress,
            command=command,
            config=self.model_dump(mode="json"),
            rng=seed,
        )
