"""What stands in a run's manifest, as it must stand there."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from seepage.runs.plan import Plan

SCHEMA = "seepage.run/1"


class Unit(BaseModel):
    """A chunk of models that are trained and committed together."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    key: Annotated[str, Field(pattern=r"\A[0-9a-f]{32}\z")]
    models: Annotated[list[int], Field(min_length=1)]


class Manifest(BaseModel):
    """What the run is, how it is trained, and its units, which hold each model once and in order."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    schema_: Literal["seepage.run/1"] = Field(SCHEMA, alias="schema")
    identity: dict[str, JsonValue]
    plan: Plan
    units: Annotated[list[Unit], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if len({unit.key for unit in self.units}) < len(self.units):
            raise ValueError("two units have one key")
        models = [model for unit in self.units for model in unit.models]
        if models != list(range(len(models))):
            raise ValueError("the units do not hold the models 0, 1, 2, ... each once and in order")
        return self

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)
