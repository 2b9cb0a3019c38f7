"""The configuration of a defended training, and what it leaves for an audit."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from pydantic import Field

from seepage.cli.specs.fields import fields_of, filled
from seepage.cli.specs.parts import OF_DATA, OF_RECIPE, DataConfig, RecipeConfig, as_tuples, check_architecture
from seepage.cli.specs.reading import Task
from seepage.errors import DataFileError, InputError
from seepage.runs.run import Run


class DefendConfig(fields_of(Run, "device", seed=Annotated[int, Ge(0)]), Task):
    """One model, trained (or answering) with a defence."""

    aliases: ClassVar = {
        **OF_DATA, "defence": "recipe.defence.name", "option": "recipe.defence.options", **OF_RECIPE,
    }  # fmt: skip
    yaml_only = frozenset({"members", "validation", "population"})

    data: DataConfig = Field(description="a named data set (digits, adult, cifar10, ...) or a file of records")
    recipe: RecipeConfig = Field(RecipeConfig(), description="its 'defence' is the defence")
    members: float = Field(0.5, gt=0, le=1, description="share of the records left to train on; the others judge")
    validation: int | float = Field(0.1, ge=0, description="records held out to choose by: a share or a count")
    population: int | float = Field(0.1, ge=0, description="further records held out: a share or a count")
    out: Path = Field(Path("defended"), description="folder for model and recipe")

    @classmethod
    def _placed(cls, values: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
        """A defence by flag replaces the file's; its options go with it."""
        if "recipe.defence.name" in flags and isinstance(values.get("recipe"), dict):
            values["recipe"] = {name: value for name, value in values["recipe"].items() if name != "defence"}
        return flags

    def run(self, *, progress: bool) -> dict[str, Any]:
        """Train the model, write it with its recipe and membership to `out`, and say what it reaches.

        Raises:
            InputError: no labels, no defence, or options that cannot be.
            StorageError: `out` cannot be written.
        """
        from seepage.data.files import no_labels
        from seepage.studies.defended import defend

        defence = self.recipe.defence
        if defence is None:
            raise InputError("defend: no defence was named: give recipe: {defence: {name: hamp}} or --defence hamp")
        pool = self.data.pool(self.seed)
        if pool.labels is None:
            raise no_labels("data", self.data.file, options="data: {options: {label: NAME}}")
        check_architecture(
            self.recipe.architecture, self.recipe.options, pool.inputs.shape[1:], pool.n_classes, "recipe"
        )
        made = defend(
            self.recipe.model_copy(update={"defence": None}).recipe(),
            pool,
            defence.name,
            options=as_tuples(defence.options),
            members=self.members,
            validation=self.validation,
            population=self.population,
            run=filled(self, Run, folder=self.out, progress=progress, config=self.model_dump(mode="json")),
        )
        return dict(made.summary)


def read_defended(folder: Path) -> tuple[DefendConfig, Any, Any]:
    """Of a folder that `seepage defend` wrote: the configuration, the pool, the model with who was in its training.

    Raises:
        DataFileError: a file is missing, damaged, or not the one that was written there; or the records are others.
        InputError: the weights do not fit the recipe.
        StorageError: something that is no file stands in the place of one.
    """
    from seepage.studies.defended import CONFIG, MEMBERSHIP, MODEL, check_defended
    from seepage.studies.defended import read_defended as read

    records = check_defended(folder, (MODEL, MEMBERSHIP, CONFIG))
    config = DefendConfig.read(folder / CONFIG, {})
    pool = config.data.pool(config.seed)
    if pool.fingerprint != records:
        raise DataFileError(
            f"the records that {folder / CONFIG} names are not those that the model was trained on: put them back, or "
            "run seepage defend again"
        )
    return config, pool, read(folder, config.recipe.recipe(), pool)
