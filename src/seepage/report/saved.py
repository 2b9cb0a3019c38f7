"""What every result is: frozen parts, saved as one versioned JSON file and read back."""

import os
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from seepage.errors import DataFileError, StorageError
from seepage.writing import whole_file


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")


class Saved(Part):
    """A whole result. Its class names the schema, and the command that writes such files."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, ser_json_inf_nan="null")

    SCHEMA: ClassVar[str]
    WRITTEN_BY: ClassVar[str]

    schema_: str

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True, indent=1)

    def save(self, path: str | os.PathLike) -> Path:
        """Write the JSON to `path` in one atomic step."""
        path = Path(path)
        with whole_file(path, encoding="utf-8") as file:
            file.write(self.to_json())
        return path

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read a saved result; `path` is the file or the folder that holds `result.json`.

        Raises:
            DataFileError: the file is missing, is not JSON, or follows another schema.
        """
        path = Path(path)
        path = path / "result.json" if path.is_dir() else path
        try:
            result = cls.model_validate_json(path.read_text())
        except FileNotFoundError:
            raise DataFileError(f"no result at {path}: expected a result.json that '{cls.WRITTEN_BY}' wrote") from None
        except (ValidationError, UnicodeDecodeError) as error:
            first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
            where = ".".join(map(str, first["loc"])) or "the file"
            raise DataFileError(f"{path} is not a {cls.SCHEMA} result: {where}: {first['msg']}") from None
        if result.schema_ != cls.SCHEMA:
            raise DataFileError(f"{path} follows {result.schema_}, expected {cls.SCHEMA}")
        return result

    def write(self, folder: Path) -> None:
        """The result and its page in a folder: result.json, report.html, report.md.

        Raises:
            StorageError: one cannot be written.
        """
        try:
            self.save(folder / "result.json")
        except OSError as error:
            raise StorageError(f"cannot write {folder / 'result.json'}: {error.strerror}") from None
        self.report(folder / "report.html")
        self.report(folder / "report.md")

    def report(self, path: str | os.PathLike) -> Path:
        """Render the result to `path`; the suffix chooses .html or .md."""
        from seepage.report.render import write_report

        return write_report(self, path)
