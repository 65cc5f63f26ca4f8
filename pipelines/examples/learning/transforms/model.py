"""A model of river that scores each visit, then learns how it ended."""

from __future__ import annotations

import polars as pl
from river import linear_model, optim, utils

from etl import Batch

FEATURES = ["minutes", "pages", "is_returning"]
SCALE = pl.Series([10.0, 15.0, 1.0])
RATE = 0.05


def learn(rows: pl.DataFrame, state: pl.DataFrame, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return each visit with the chance that was given to it before its batch was known, and the model after it.

    The model's state is what it has learnt: a weight for each feature. It lies in the checkpoint as a table, one
    version a batch, and can be looked at and rewound with everything else.
    """
    del batch
    model = linear_model.LogisticRegression(optimizer=optim.SGD(RATE))
    seen = 0
    if state.height:
        known = state.row(0, named=True)
        seen, model.intercept = known["seen"], known["intercept"]
        weights = {each["feature"]: each["weight"] for each in known["weights"]}
        model._weights = utils.VectorDict(weights)  # noqa: SLF001  river has no other way to go on with weights
    features = rows.select(pl.col(name).cast(pl.Float64) / most for name, most in zip(FEATURES, SCALE, strict=True))
    scored = rows.with_columns(chance=_chances(model, features))
    for visit, has_bought in zip(features.iter_rows(named=True), rows["has_bought"], strict=True):
        model.learn_one(visit, has_bought)
    learnt = [{"feature": name, "weight": model.weights.get(name, 0.0)} for name in FEATURES]
    names = rows["model"].unique()
    known = {"seen": seen + rows.height, "intercept": float(model.intercept), "weights": learnt}
    kept = pl.DataFrame([{"model": name, **known} for name in names], schema=state.schema)
    return scored, kept


def _chances(model: linear_model.LogisticRegression, features: pl.DataFrame) -> pl.Series:
    found = [model.predict_proba_one(visit)[True] for visit in features.iter_rows(named=True)]
    return pl.Series(found, dtype=pl.Float64)
