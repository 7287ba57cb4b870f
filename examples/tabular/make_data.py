"""Makes the model and the tables of this example from the breast cancer data that come with scikit-learn.

    python make_data.py                 all 285 patients, 25 a table, into inbox/
    python make_data.py --tables 3

The model learns from the first half of the patients; the second half becomes the tables. What was learned is saved
as JSON: scoring needs pandas, and no scikit-learn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent
ROWS = 25  #: patients in one table
MALIGNANT = 0  #: how the data set spells it


def main() -> None:
    """Learn, then cut the rest into tables."""
    ask = argparse.ArgumentParser(description="Makes the model and the tables of this example.")
    ask.add_argument("--tables", type=int, default=None, help="how many tables; default: all 12")
    wanted = ask.parse_args()

    data = load_breast_cancer(as_frame=True)
    half = len(data.data) // 2
    learn(data.data[:half], data.target[:half] == MALIGNANT)
    patients = data.data[half:].rename_axis("patient").reset_index()
    starts = range(0, len(patients), ROWS)[: wanted.tables]
    (HERE / "inbox").mkdir(exist_ok=True)
    for number, start in enumerate(starts, start=1):
        patients[start : start + ROWS].to_csv(HERE / "inbox" / f"patients-{number:02}.csv", index=False)
    truth = pd.DataFrame({"patient": patients["patient"], "malignant": (data.target[half:] == MALIGNANT).to_numpy()})
    truth[: len(starts) * ROWS].to_csv(HERE / "truth.csv", index=False)
    print(f"learned from {half} patients; {len(starts)} tables: {HERE / 'inbox'}")


def learn(table: pd.DataFrame, malignant: pd.Series[bool]) -> None:
    """Fit a logistic regression and save it as numbers that anybody can read."""
    scaler = StandardScaler().fit(table)
    model = LogisticRegression(max_iter=1000).fit(scaler.transform(table), malignant)
    weights = {
        "columns": list(table.columns),
        "mean": scaler.mean_.tolist(),
        "scale": scaler.scale_.tolist(),
        "weights": model.coef_[0].tolist(),
        "intercept": float(model.intercept_[0]),
    }
    (HERE / "model").mkdir(exist_ok=True)
    (HERE / "model" / "weights.json").write_text(json.dumps(weights, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
