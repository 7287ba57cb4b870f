"""Says how likely a tumour is malignant: a CSV in, one row for each of its rows out."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

model: dict[str, Any] = {}
threshold = 0.5


def init() -> None:
    """Load the weights, and read the deployment's `arguments`, which stand in sys.argv after Azure's own flags."""
    global threshold
    ask = argparse.ArgumentParser()
    ask.add_argument("--threshold", type=float, default=threshold)
    threshold = ask.parse_known_args()[0].threshold
    file = Path(os.environ["AZUREML_MODEL_DIR"]) / "model" / "weights.json"
    model.update(json.loads(file.read_text(encoding="utf-8")))


def run(mini_batch: list[str]) -> pd.DataFrame:
    """A DataFrame is written as it is: its columns are the output's columns."""
    table = pd.concat([pd.read_csv(path) for path in mini_batch], ignore_index=True)
    chance = chance_of(table[model["columns"]].to_numpy(dtype=float))
    return pd.DataFrame({"patient": table["patient"], "chance": chance.round(6), "malignant": chance >= threshold})


def chance_of(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Logistic regression: one matrix product for the whole table."""
    scaled = (values - np.array(model["mean"])) / np.array(model["scale"])
    return np.asarray(1 / (1 + np.exp(-(scaled @ np.array(model["weights"]) + model["intercept"]))))
