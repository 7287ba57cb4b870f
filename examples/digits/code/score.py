"""Reads handwritten digits: a PNG in, a digit and a confidence out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from PIL import Image

model: Any = None


def init() -> None:
    """Load the model: once a worker, before its first file."""
    global model
    model = joblib.load(Path(os.environ["AZUREML_MODEL_DIR"]) / "digits.joblib")


def run(mini_batch: list[str]) -> list[dict[str, Any]]:
    """One row for each file, in the order of the files: so each row gets a `file` column by itself.

    A file that is no image raises. scorewatch then halves the batch until it is alone, and scores the others.
    """
    pixels = np.stack([pixels_of(path) for path in mini_batch])
    chances = model.predict_proba(pixels)
    return [{"digit": int(row.argmax()), "confidence": round(float(row.max()), 4)} for row in chances]


def pixels_of(path: str) -> np.ndarray[Any, Any]:
    """The 64 numbers from 0 to 16 that the model learned from: the picture shrunk to 8 by 8 pixels."""
    with Image.open(path) as image:
        small = image.convert("L").resize((8, 8), Image.Resampling.BOX)
    return np.asarray(small, dtype=float).ravel() * (16 / 255)
