"""What Azure writes, to the byte: `str()` of each element, frames with single spaces, no header; nothing is added."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ..failures import CannotLoadError

if TYPE_CHECKING:
    from ..orders import Deployment, Schema
    from ..scoring import Part, Rows
    from . import Written

SETTINGS = "parallel_run_step.settings.json"  # beside the script; Azure's own name for it


class AzureSink:
    """Writes one file a batch; `collect` joins them to Azure's one file."""

    def __init__(self, deployment: Deployment) -> None:
        self._name = deployment.output_file_name
        self._folders = [os.path.dirname(os.path.join(deployment.code, deployment.script)), deployment.code]
        self._to_csv: dict[str, Any] = {"sep": " ", "header": False, "index": False}

    def warm_up(self) -> None:
        """Read the settings beside the script, if there are any."""
        for folder in self._folders:
            path = os.path.join(folder, SETTINGS)
            if os.path.isfile(path):
                self._to_csv.update(_settings(path))
                return

    def take(self, rows: Rows) -> bytes:
        """The file's content."""
        return b"".join(map(self._bytes_of, rows.parts))

    def _bytes_of(self, part: Part) -> bytes:
        if part.elements is not None:
            text = "".join(f"{element!s}\n" for element in part.elements)
        else:
            text = part.frame.to_csv(**self._to_csv)
        try:
            return text.encode("utf-8", "surrogateescape")  # a file's name comes out as the bytes that it is
        except UnicodeEncodeError:
            return text.encode("utf-8", "backslashreplace")

    def lacks(self, _taken: bytes, _schema: Schema) -> Schema:
        """Nothing, ever."""
        return ()

    def write(self, taken: bytes, _schema: Schema, folder: str) -> Written:
        """Write the file."""
        with open(os.path.join(folder, self._name), "xb") as file:
            file.write(taken)
        return "", []


def _settings(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            wanted = json.load(file).get("append_row", {}).get("pandas.DataFrame.to_csv", {})
        wanted = dict(wanted)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise CannotLoadError(f"{path} can't be read as Azure's settings: {error}") from error
    return {key: value for key, value in wanted.items() if key not in {"path_or_buf", "mode", "compression"}}
