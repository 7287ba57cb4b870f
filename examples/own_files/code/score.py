"""Makes a small picture of each picture, and writes it itself."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

longest_side = 0


def init() -> None:
    """Read the deployment's `environment_variables`."""
    global longest_side
    longest_side = int(os.environ["THUMBNAIL_PIXELS"])


def run(mini_batch: list[str]) -> list[str]:
    """One element for each file that worked: that is how files are counted.

    Of a batch that is tried again, or whose worker dies, nothing appears twice: what was written counts only once
    the batch is committed.
    """
    return [shrink(Path(path)) for path in mini_batch]


def shrink(picture: Path) -> str:
    """Write the small picture under the name of the large one, its old ending included: a.jpg is not a.png."""
    target = Path(os.environ["AZUREML_BI_OUTPUT_PATH"]) / f"{picture.name}.small.png"
    with Image.open(picture) as image:
        image.thumbnail((longest_side, longest_side))
        image.save(target)
    return target.name
