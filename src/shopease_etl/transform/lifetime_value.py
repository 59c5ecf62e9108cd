"""Customer lifetime value: who is still a customer, and what they will spend in the next year."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import polars as pl

from shopease_etl.contract.gold.customer_lifetime_value import HOLDOUT_DAYS, holdout_cutoff

if TYPE_CHECKING:
    from shopease_etl.transform.purchase_models import Histories, PurchaseModel, ValueModel

FEWEST_CUSTOMERS: Final = 100
"""With fewer nothing is fitted."""
LARGEST_SAMPLE: Final = 20_000
_CORRELATED: Final = 0.3
_TOO_LARGE: Final = 1e15
"""Such a figure may not fit decimal(18,2)."""
_DAYS: Final = {"expected_purchases_90d": 90, "expected_purchases_365d": 365}
_DECIMALS: Final = {"p_alive": 4, **dict.fromkeys(_DAYS, 2), "expected_purchase_value": 2, "clv_365d": 2}
_EMPTY: Final = "customer_lifetime_value has no figures"


@dataclass(frozen=True)
class LifetimeValues:
    """The figures of each customer, sorted by customer_id; the models, ready for JSON; warnings in plain English.

    Figures are rounded as gold has them: p_alive to 4 decimals, the others to 2. What is not known is NULL.
    """

    customers: pl.DataFrame
    model: dict[str, object]
    warnings: tuple[str, ...]


def lifetime_values(customers: pl.DataFrame, as_of: date) -> LifetimeValues:
    """Fit BG/NBD and Gamma-Gamma and compute each customer's figures; no values of customers make it fail.

    `customers` has one row each: customer_id, purchase_days (days with a purchase), first_purchase_date,
    last_purchase_date, revenue, and as it was HOLDOUT_DAYS before `as_of`: days_before, last_before. The lifetime value
    is the purchases to expect in 365 days × the value to expect of one, not discounted. Needs the extra `clv`.
    """
    warnings: list[str] = []
    sorted_ = customers.sort("customer_id").with_columns(
        (pl.col("revenue").cast(pl.Float64) / pl.col("purchase_days")).alias("value")
    )
    repeated = sorted_.filter(pl.col("purchase_days") > 1)
    purchases = _fit_purchases(sorted_, as_of, warnings)
    values = _fit_values(repeated, warnings) if purchases else None
    model = {
        "customers": sorted_.height,
        "fitted_on": _sample(sorted_).height if purchases else 0,
        **_parameters(purchases, values),
        "correlation": _correlation(repeated, warnings) if values else None,
        "holdout": _holdout(sorted_, as_of, warnings) if purchases else None,
    }
    figures = _figures(sorted_, as_of, purchases, values)
    if values:
        _warn_of_missing(figures, values, warnings)
    return LifetimeValues(figures, model, tuple(warnings))


def _fit_purchases(customers: pl.DataFrame, as_of: date, warnings: list[str]) -> "PurchaseModel | None":
    from shopease_etl.transform.purchase_models import fit_purchases

    if customers.height < FEWEST_CUSTOMERS:
        warnings.append(
            f"{_EMPTY}: it needs {FEWEST_CUSTOMERS} customers with a purchase, there are {customers.height}"
        )
        return None
    if not (customers["purchase_days"] > 1).any():
        warnings.append(f"{_EMPTY}: no customer has bought on more than one day")
        return None
    model = fit_purchases(_histories(_sample(customers), as_of))
    if model is None:
        warnings.append(f"{_EMPTY}: no model of purchases (BG/NBD) fits these customers")
    return model


def _fit_values(repeated: pl.DataFrame, warnings: list[str]) -> "ValueModel | None":
    from shopease_etl.transform.purchase_models import fit_values

    sample = _sample(repeated)
    model = fit_values(sample["purchase_days"].cast(pl.Float64).to_numpy(), sample["value"].to_numpy())
    if model is None:
        reason = "the average purchases of customers are all equal, or no model of them (Gamma-Gamma) fits"
        warnings.append(f"customer_lifetime_value has no values of purchases and no lifetime values: {reason}")
    return model


def _sample(customers: pl.DataFrame) -> pl.DataFrame:
    """All of the sorted customers, or LARGEST_SAMPLE of them that are equally far apart."""
    if customers.height <= LARGEST_SAMPLE:
        return customers
    return customers[[number * customers.height // LARGEST_SAMPLE for number in range(LARGEST_SAMPLE)]]


def _histories(customers: pl.DataFrame, end: date) -> "Histories":
    """The purchases of customers until the end of a day, in weeks."""
    from shopease_etl.transform.purchase_models import Histories

    first = pl.col("first_purchase_date")
    weeks = customers.select(
        (pl.col("purchase_days") - 1).cast(pl.Float64).alias("repeats"),
        ((pl.col("last_purchase_date") - first).dt.total_days() / 7).alias("recency"),
        ((pl.lit(end) - first).dt.total_days() / 7).alias("age"),
    )
    return Histories(*(column.to_numpy() for column in weeks.iter_columns()))


def _parameters(purchases: "PurchaseModel | None", values: "ValueModel | None") -> dict[str, object]:
    """Six digits of each parameter, None where nothing was fitted."""
    found: dict[str, object] = {}
    for model, names in ((purchases, ("r", "alpha", "a", "b")), (values, ("p", "q", "gamma"))):
        found |= {name: float(f"{getattr(model, name):.6g}") if model else None for name in names}
    return found | {"log_likelihood": round(purchases.log_likelihood, 2) if purchases else None}


def _correlation(repeated: pl.DataFrame, warnings: list[str]) -> float | None:
    """Of the number of repeat purchases with their average value; None where one of them does not vary."""
    found: float | None = repeated.select(pl.corr("purchase_days", "value")).item()
    if found is None or not -1.01 < found < 1.01:  # NaN is neither
        return None
    if abs(found) > _CORRELATED:
        warnings.append(
            f"how often customers buy and for how much are correlated ({found:.2f}): the model of lifetime values "
            "assumes that they are not, so the values of frequent buyers may be off"
        )
    return round(found, 4)


def _holdout(customers: pl.DataFrame, as_of: date, warnings: list[str]) -> dict[str, object] | None:
    """What a model of purchases, fitted to the time until HOLDOUT_DAYS before `as_of`, predicts for these days."""
    from shopease_etl.transform.purchase_models import fit_purchases

    cutoff = holdout_cutoff(as_of)
    made = pl.col("purchase_days") - pl.col("days_before")
    known = customers.filter(pl.col("days_before") > 0).with_columns(
        pl.col("days_before").alias("purchase_days"),
        pl.col("last_before").alias("last_purchase_date"),
        made.alias("made"),
    )
    is_enough = known.height >= FEWEST_CUSTOMERS and (known["purchase_days"] > 1).any()
    model = fit_purchases(_histories(_sample(known), cutoff)) if is_enough else None
    predicted = model.expected_purchases(_histories(known, cutoff), HOLDOUT_DAYS / 7).sum() if model else None
    if predicted is None or not predicted < _TOO_LARGE:
        warnings.append(f"the model of purchases could not be checked: too little is known of the time until {cutoff}")
        return None
    total = int(known["made"].sum())
    return {
        "cutoff": cutoff.isoformat(),
        "customers": known.height,
        "predicted": round(float(predicted), 1),
        "made": total,
        "predicted_to_made": round(float(predicted) / total, 4) if total else None,
    }


def _figures(
    customers: pl.DataFrame, as_of: date, purchases: "PurchaseModel | None", values: "ValueModel | None"
) -> pl.DataFrame:
    """Each customer's figures, and the tenth of the customers that they are in."""
    names = ["p_alive", *_DAYS]
    frame = customers.with_columns(pl.lit(None, pl.Float64).alias(name) for name in (*names, "expected_purchase_value"))
    if purchases:
        histories = _histories(customers, as_of)
        arrays = [purchases.p_alive(histories)]
        arrays += [purchases.expected_purchases(histories, days / 7) for days in _DAYS.values()]
        frame = frame.with_columns(pl.Series(name, array) for name, array in zip(names, arrays, strict=True))
    if values:
        days = customers["purchase_days"].cast(pl.Float64).to_numpy()
        expected = pl.Series("expected", values.expected_value(days, customers["value"].to_numpy()))
        bought_once = pl.col("purchase_days") == 1
        mean = pl.when(bought_once).then(values.population_mean).otherwise(expected)
        frame = frame.with_columns(mean.alias("expected_purchase_value"))
    clv = pl.col("expected_purchases_365d") * pl.col("expected_purchase_value")
    frame = frame.with_columns(clv.alias("clv_365d")).select(
        "customer_id", *(_rounded(name, decimals) for name, decimals in _DECIMALS.items())
    )
    return frame.with_columns(_decile().alias("clv_decile"))


def _rounded(name: str, decimals: int) -> pl.Expr:
    fits = pl.col(name).is_finite() & pl.col(name).is_between(0, _TOO_LARGE)
    return pl.when(fits).then(pl.col(name).round(decimals)).alias(name)


def _decile() -> pl.Expr:
    """1 + (10 × customers with a smaller lifetime value) // customers with one, so equal values score equally."""
    clv = pl.col("clv_365d")
    return 1 + 10 * (clv.rank("min").cast(pl.Int64) - 1) // clv.count().cast(pl.Int64)


def _warn_of_missing(figures: pl.DataFrame, values: "ValueModel", warnings: list[str]) -> None:
    missing = figures["clv_365d"].null_count()
    if missing:
        spread = f"the values of purchases are spread so widely that their model has no mean (q is {values.q:.2f})"
        reason = spread if values.q <= 1 else "it is too large"
        warnings.append(f"{missing:,} customers have no lifetime value: {reason}")
