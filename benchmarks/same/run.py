"""One run: its commands, and the files that they read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Run:
    """Commands that are carried out one after another in a folder of their own.

    Attributes:
        commands: `seepage ...` or `python ...`, as typed.
        config: what `config.yaml` holds, with the keys of the example below laid over it.
        example: a file of the checkout's own `examples`, where the run is of one.
        script: what `script.py` holds.
        needs: data sets that must be in the cache.
        after: commands of the checkout after, where they differ.
        after_config, after_script: the same of the files.
    """

    commands: tuple[str, ...]
    config: Mapping[str, Any] | None = None
    example: str | None = None
    script: str | None = None
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] | None = None
    after_config: Mapping[str, Any] | None = None
    after_script: str | None = None

    def written(self, root: Path, *, after: bool) -> tuple[tuple[str, ...], dict[str, str]]:
        """The commands, and the files that they read by name."""
        commands = self.after if after and self.after else self.commands
        config = self.after_config if after and self.after_config else self.config
        script = self.after_script if after and self.after_script else self.script
        files = {} if script is None else {"script.py": script}
        if self.example is not None:
            example = yaml.safe_load((root / "examples" / self.example).read_text())
            files["config.yaml"] = yaml.safe_dump(_shrunk(example, config or {}), sort_keys=False)
        elif config is not None:
            files["config.yaml"] = yaml.safe_dump(dict(config), sort_keys=False)
        return commands, files


def _shrunk(values: Any, smaller: Any) -> Any:
    """`values` with those of `smaller` in their place; rows of a list are met by label or name, '*' is every row."""
    if isinstance(values, dict) and isinstance(smaller, dict):
        return values | {key: _shrunk(values.get(key), value) for key, value in smaller.items()}
    if isinstance(values, list) and isinstance(smaller, dict):
        rows = [row if isinstance(row, dict) else {"name": row} for row in values]
        every = smaller.get("*", {})
        return [_shrunk(_shrunk(row, every), smaller.get(row.get("label") or row["name"], {})) for row in rows]
    return smaller
