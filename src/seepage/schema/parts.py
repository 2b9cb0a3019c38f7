"""What the results of several kinds have: findings, and where a result comes from."""

import datetime
import platform
import time
from importlib import metadata
from typing import Literal, Self

from pydantic import Field

from seepage.schema.saved import Part
from seepage.version import __version__

VerdictName = Literal["LEAK SHOWN", "NO EVIDENCE", "INCONCLUSIVE", "INVALID"]


class Finding(Part):
    """One thing that the numbers say, or do not say."""

    about: str
    sentence: str


class Provenance(Part):
    seepage: str
    python: str
    torch: str
    numpy: str
    platform: str
    created: str = Field(description="UTC, ISO 8601")
    seconds: float
    seed: int | None = Field(description="None: a generator was given, whose state nobody kept")
    data: str
    data_fingerprint: str
    n_records: int
    membership: Literal["drawn", "declared", "unknown"]
    command: str = Field(description="what to type to get this result again")
    settings: dict[str, object]

    @classmethod
    def now(cls, *, started: float, **about: object) -> Self:
        """What was made here and now.

        Args:
            started: `time.perf_counter()` at the beginning.
            about: the other fields, from `seed` on.
        """
        return cls(
            seepage=__version__,
            python=platform.python_version(),
            torch=metadata.version("torch"),
            numpy=metadata.version("numpy"),
            platform=f"{platform.system()} {platform.machine()}",
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            seconds=time.perf_counter() - started,
            **about,
        )
