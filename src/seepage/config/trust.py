"""The configuration of an honesty study."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from seepage.config.parts import DataConfig, RecipeConfig, check_architecture
from seepage.config.reading import MOST_WORKERS, Task


class StudyRecipeConfig(RecipeConfig):
    """How the plain models of a study are trained."""

    architecture: str = "cnn"


class TrustConfig(Task):
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
    workers: int | None = Field(None, ge=0, le=MOST_WORKERS)
    seed: int = Field(0, ge=0)
    out: Path = Path("trust")

    def run(self, *, progress: bool, command: str):
        """Carry out the study."""
        from seepage.data.files import no_labels
        from seepage.models.images import as_images
        from seepage.trust.study import study
        from seepage.trust.world import Choices

        pool = self.data.as_image_data().pool(self.seed)
        if pool.labels is None:
            raise no_labels("data", self.data.file, options="data: {options: {label: NAME}}", flag=False)
        as_images(pool.subset([0]))
        recipe = self.recipe
        check_architecture(recipe.architecture, recipe.options, pool.inputs.shape[1:], pool.n_classes, "recipe")
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
