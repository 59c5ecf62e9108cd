"""Customer lifetime value: the published figures, the formulas by other means, known shops, and data that nothing fits.

`tests/cases/cdnow.csv` has the 2,357 customers of CDNOW that Fader and Hardie published with their papers: repeat
purchases, recency and age in weeks, mean value of a repeat purchase. It is
`cdnow_customers_summary_with_transactions.csv` of the package lifetimes 0.11.3 (MIT licence), with its columns renamed.
"""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.special import betaincinv, gammaincinv, roots_legendre

from shopease_etl.contract.gold.customer_lifetime_value import holdout_cutoff
from shopease_etl.sample import goods, people
from shopease_etl.sample.sales import sales
from shopease_etl.transform.lifetime_value import LARGEST_SAMPLE, LifetimeValues, lifetime_values
from shopease_etl.transform.purchase_models import (
    Array,
    Histories,
    PurchaseModel,
    ValueModel,
    fit_purchases,
    fit_values,
    purchase_likelihood,
    value_likelihood,
)

CDNOW = Path(__file__).parents[1] / "cases" / "cdnow.csv"
AS_OF = date(2024, 12, 31)
FIGURES = ("p_alive", "expected_purchases_90d", "expected_purchases_365d", "expected_purchase_value", "clv_365d")


def history(*customers: tuple[float, float, float]) -> Histories:
    return Histories(*np.array(customers, np.float64).T)


def of_cdnow() -> tuple[Histories, Array]:
    columns = pl.read_csv(CDNOW).cast(pl.Float64)
    repeats, recency, age, value = (column.to_numpy() for column in columns.iter_columns())
    return Histories(repeats, recency, age), value


def shop(purchases: pl.DataFrame, as_of: date = AS_OF) -> pl.DataFrame:
    """Customers, from purchases as (customer_id, day, amount)."""
    day, cutoff = pl.col("day"), holdout_cutoff(as_of)
    before = day.filter(day <= cutoff)
    return purchases.group_by("customer_id").agg(
        day.n_unique().cast(pl.Int64).alias("purchase_days"),
        day.min().alias("first_purchase_date"),
        day.max().alias("last_purchase_date"),
        pl.col("amount").sum().cast(pl.Decimal(38, 2)).alias("revenue"),
        before.n_unique().cast(pl.Int64).alias("days_before"),
        before.max().alias("last_before"),
    )


def shop_of(days: Sequence[Sequence[int]], amount: str | Sequence[str] = "10.00", as_of: date = AS_OF) -> pl.DataFrame:
    """Customers 1, 2, … who bought so many days before `as_of`, each time for the amount (of the customer)."""
    amounts = [amount] * len(days) if isinstance(amount, str) else amount
    rows = [
        (number, as_of - timedelta(days=ago), Decimal(amounts[number - 1]))
        for number, all_days in enumerate(days, start=1)
        for ago in all_days
    ]
    schema = pl.Schema({"customer_id": pl.Int64(), "day": pl.Date(), "amount": pl.Decimal(38, 2)})
    return shop(pl.DataFrame(rows, schema=schema, orient="row"), as_of)


def simulated(count: int, model: PurchaseModel, values: ValueModel, weeks: int, seed: int) -> pl.DataFrame:
    """Purchases as (customer_id, day, amount) in so many weeks until AS_OF + 365 days, as the models have them."""
    draws = np.random.default_rng(seed)
    rows = []
    for customer in range(count):
        rate, loss = draws.gamma(model.r) / model.alpha, draws.beta(model.a, model.b)
        scale, week, is_first = draws.gamma(values.q) / values.gamma, draws.uniform(0, weeks - 53), True
        while week < weeks:
            rows.append((customer, int(7 * week), draws.gamma(values.p) / scale))
            if not is_first and draws.random() < loss:
                break
            week, is_first = week + draws.exponential(1 / rate), False
    frame = pl.DataFrame(rows, schema={"customer_id": pl.Int64, "day": pl.Int64, "amount": pl.Float64}, orient="row")
    first_day = AS_OF + timedelta(days=365 - 7 * weeks)
    return frame.with_columns(
        (pl.lit(first_day) + pl.duration(days="day")).alias("day"), pl.col("amount").cast(pl.Decimal(38, 2))
    )


def total(frame: pl.DataFrame, column: str) -> float:
    return float(frame.select(pl.col(column).cast(pl.Float64).sum()).item())


def holdout_of(found: LifetimeValues) -> dict[str, Any]:
    holdout = found.model["holdout"]
    assert isinstance(holdout, dict)
    return holdout


def by_bayes(model: PurchaseModel, customer: tuple[float, float, float], weeks: float) -> tuple[float, float, float]:
    """Likelihood, P(alive) and expected purchases by summing over rates and losses: the story, not the formulas."""
    repeats, recency, age = customer
    points, weights = roots_legendre(400)
    rate = gammaincinv(model.r, (points + 1) / 2)[:, np.newaxis] / model.alpha
    loss = betaincinv(model.a, model.b, (points + 1) / 2)[np.newaxis, :]
    weight = weights[:, np.newaxis] * weights[np.newaxis, :] / 4
    alive = (1 - loss) ** repeats * rate**repeats * np.exp(-rate * age)
    lost = loss * (1 - loss) ** (repeats - 1) * rate**repeats * np.exp(-rate * recency) if repeats else 0 * alive
    total = float(np.sum(weight * (alive + lost)))
    expected = float(np.sum(weight * alive * -np.expm1(-rate * loss * weeks) / loss))
    return total, float(np.sum(weight * alive)) / total, expected / total


OF_CDNOW = PurchaseModel(0.243, 4.414, 0.793, 2.426, 0.0)
MODELS = (OF_CDNOW, PurchaseModel(2.0, 3.0, 1.0, 2.0, 0.0), PurchaseModel(1.5, 1.0, 1 + 1e-9, 5.0, 0.0))
ALSO = (PurchaseModel(0.8, 10.0, 0.6, 0.4, 0.0), PurchaseModel(3.0, 20.0, 4.0, 30.0, 0.0))
TRIPLES = ((0, 0, 0.0), (0, 0, 30.0), (1, 0.2, 0.3), (1, 5, 40), (3, 39, 40), (12, 20, 25), (40, 90, 100))


def test_cdnow_has_the_published_purchase_model() -> None:
    customers, _ = of_cdnow()
    model = fit_purchases(customers)
    assert model is not None
    assert [round(value, 3) for value in (model.r, model.alpha, model.a, model.b)] == [0.243, 4.414, 0.793, 2.426]
    assert round(model.log_likelihood, 1) == -9582.4


def test_cdnow_has_the_published_value_model() -> None:
    customers, value = of_cdnow()
    again = customers.repeats > 0
    model = fit_values(customers.repeats[again], value[again])
    assert again.sum() == 946
    assert model is not None
    assert (round(model.p, 2), round(model.q, 2)) == (6.25, 3.74)
    assert model.gamma == pytest.approx(15.44, abs=0.01)


def test_a_customer_of_the_paper() -> None:
    """Fader, Hardie and Lee work out their first customer: 1.226 purchases in the next 39 weeks."""
    assert OF_CDNOW.expected_purchases(history((2, 30.43, 38.86)), 39)[0] == pytest.approx(1.226, abs=0.0005)


@pytest.mark.parametrize("model", MODELS + ALSO)
@pytest.mark.parametrize("customer", TRIPLES)
def test_the_formulas_say_what_the_story_says(model: PurchaseModel, customer: tuple[float, float, float]) -> None:
    likelihood, p_alive, expected = by_bayes(model, customer, 52)
    customers = history(customer)
    parameters = np.array([model.r, model.alpha, model.a, model.b])
    found = purchase_likelihood(parameters, customers, np.ones(1))[0][0]
    assert found == pytest.approx(np.log(likelihood), abs=2e-3)
    assert model.p_alive(customers)[0] == pytest.approx(p_alive, abs=2e-3)
    assert model.expected_purchases(customers, 52)[0] == pytest.approx(expected, rel=5e-3)


def test_derivatives_of_the_likelihoods() -> None:
    customers, value = of_cdnow()
    some = slice(0, 200)
    counts = np.arange(200.0)
    few = Histories(customers.repeats[some], customers.recency[some], customers.age[some])
    point = np.array([0.3, 4.0, 0.9, 2.0])
    numeric = approx_fprime(point, lambda at: purchase_likelihood(at, few, counts)[0].sum())
    assert purchase_likelihood(point, few, counts)[1].sum(axis=1) == pytest.approx(numeric, rel=1e-4)
    again = customers.repeats > 0
    n, mean = customers.repeats[again], value[again]
    numeric = approx_fprime(point[:3], lambda at: value_likelihood(at, n, mean)[0].sum())
    assert value_likelihood(point[:3], n, mean)[1].sum(axis=1) == pytest.approx(numeric, rel=1e-4)


@pytest.mark.parametrize("a", [0.01, 0.999, 1.0, 1.0000001, 1.001, 8.0, 200.0, 20_000.0])
@pytest.mark.parametrize("r", [0.01, 3.0, 200.0, 20_000.0])
@pytest.mark.parametrize("b", [0.01, 2.0, 20_000.0])
@pytest.mark.parametrize("weeks", [90 / 7, 365 / 7])
def test_extreme_customers(a: float, b: float, r: float, weeks: float) -> None:
    """Between nothing and what a customer would buy who is never lost; more in a longer time."""
    customers = history((0, 0, 0), (0, 0, 6_000), (1, 0.14, 0.14), (365, 520, 520), (365, 52, 520), (3_000, 520, 521))
    for alpha in (0.01, 4.4, 20_000.0):
        model = PurchaseModel(r, alpha, a, b, 0.0)
        expected = model.expected_purchases(customers, weeks)
        never_lost = (r + customers.repeats) * weeks / (alpha + customers.age)
        assert np.all((expected >= 0) & (expected <= never_lost * 1.001 + 1e-12))
        assert np.all(model.expected_purchases(customers, 2 * weeks) >= expected * 0.99)
        assert np.all((model.p_alive(customers) >= 0) & (model.p_alive(customers) <= 1))


@pytest.mark.parametrize("b", [0.3, 3.0])
def test_the_pole_is_crossed_smoothly(b: float) -> None:
    customers = history((0, 0, 10), (4, 9, 10), (300, 400, 410))
    below, at, above = (PurchaseModel(0.5, 3.0, a, b, 0.0).expected_purchases(customers, 52) for a in (0.999, 1, 1.001))
    assert at == pytest.approx((below + above) / 2, rel=1e-4)


@pytest.fixture(scope="module")
def known() -> tuple[pl.DataFrame, LifetimeValues]:
    """A simulated shop with its future, and the figures from its past."""
    purchases = simulated(6_000, PurchaseModel(0.7, 8.0, 0.6, 3.0, 0.0), ValueModel(6.0, 4.0, 15.0), 210, seed=7)
    return purchases, lifetime_values(shop(purchases.filter(pl.col("day") <= AS_OF)), AS_OF)


def test_parameters_of_a_simulated_shop(known: tuple[pl.DataFrame, LifetimeValues]) -> None:
    model = known[1].model
    found = {name: model[name] for name in ("r", "alpha", "a", "b", "p", "q", "gamma")}
    truth = {"r": 0.7, "alpha": 8.0, "a": 0.6, "b": 3.0, "p": 6.0, "q": 4.0, "gamma": 15.0}
    assert found == {name: pytest.approx(value, rel=0.15) for name, value in truth.items()}
    assert known[1].warnings == ()


def test_predictions_for_a_simulated_shop(known: tuple[pl.DataFrame, LifetimeValues]) -> None:
    """Their sums are near what is then bought, for all customers, and for those who bought little or much before."""
    purchases, found = known
    after = pl.col("day") > AS_OF
    within = pl.col("day") <= AS_OF + timedelta(days=90)
    future = purchases.group_by("customer_id").agg(
        pl.col("day").filter(~after).n_unique().alias("before"),
        pl.col("day").filter(after).n_unique().alias("days"),
        pl.col("day").filter(after & within).n_unique().alias("soon"),
        pl.col("amount").filter(after).sum().cast(pl.Float64).alias("spent"),
    )
    both = found.customers.join(future, on="customer_id")
    assert both.height == found.customers.height
    for group, tolerance in (
        (both, 0.04),
        (both.filter(pl.col("before") < 4), 0.1),
        (both.filter(pl.col("before") > 9), 0.1),
    ):
        assert total(group, "expected_purchases_365d") == pytest.approx(total(group, "days"), rel=tolerance)
        assert total(group, "expected_purchases_90d") == pytest.approx(total(group, "soon"), rel=2 * tolerance)
        assert total(group, "clv_365d") == pytest.approx(total(group, "spent"), rel=2 * tolerance)
    still_buying = both.filter(pl.col("before") > 9)
    assert total(still_buying, "p_alive") > still_buying.filter(pl.col("days") > 0).height
    top = total(both.filter(pl.col("clv_decile") == 10), "spent")
    assert top > 3 * total(both, "spent") / 10


def test_the_holdout_of_a_simulated_shop(known: tuple[pl.DataFrame, LifetimeValues]) -> None:
    purchases, found = known
    cutoff = AS_OF - timedelta(days=182)
    holdout = holdout_of(found)
    early = purchases.filter(pl.col("day") <= cutoff)["customer_id"].unique()
    late = purchases.filter((pl.col("day") > cutoff) & (pl.col("day") <= AS_OF)).join(
        early.to_frame(), on="customer_id"
    )
    assert (holdout["cutoff"], holdout["customers"]) == ("2024-07-02", len(early))
    assert holdout["made"] == late.select("customer_id", "day").n_unique()
    assert holdout["predicted_to_made"] == pytest.approx(1, abs=0.05)
    assert holdout["predicted_to_made"] == pytest.approx(holdout["predicted"] / holdout["made"], abs=1e-3)


def test_the_sample_database() -> None:
    population, catalogue = people.population(400, 2024), goods.catalogue(2024)
    batches = [
        batch.select("customer_id", "created_at", "quantity", "unit_price")
        for batch in sales(50_000, 2024, population, catalogue)
    ]
    amount = (pl.col("quantity") * pl.col("unit_price")).cast(pl.Decimal(38, 2))
    rows = pl.concat(batches).select("customer_id", pl.col("created_at").dt.date().alias("day"), amount.alias("amount"))
    found = lifetime_values(shop(rows), AS_OF)
    assert holdout_of(found)["predicted_to_made"] == pytest.approx(1, abs=0.1)
    assert found.customers["clv_365d"].null_count() == 0
    # who buys more often buys more in a day, so the warning is right
    assert [warning for warning in found.warnings if "correlated (0." not in warning] == []


def without_figures(found: LifetimeValues, customers: pl.DataFrame, *columns: str) -> None:
    """Every customer has one row, in order, and only these columns of figures are empty."""
    assert found.customers["customer_id"].to_list() == sorted(customers["customer_id"].to_list())
    assert found.customers.columns == ["customer_id", *FIGURES, "clv_decile"]
    empty = {name for name in found.customers.columns if found.customers[name].null_count() == customers.height}
    assert empty == set(columns)
    json.dumps(found.model, allow_nan=False)


ALL = (*FIGURES, "clv_decile")
VARIED = [[300 - number, *range(0, number, 17)] for number in range(150)]


@pytest.mark.parametrize(
    ("days", "reason"),
    [
        ([[1, 2]] * 99, "it needs 100 customers with a purchase, there are 99"),
        ([], "it needs 100 customers with a purchase, there are 0"),
        ([[number] for number in range(200)], "no customer has bought on more than one day"),
        ([[0]] * 200, "no customer has bought on more than one day"),
    ],
)
def test_what_cannot_be_fitted_has_no_figures(days: list[list[int]], reason: str) -> None:
    customers = shop_of(days)
    found = lifetime_values(customers, AS_OF)
    assert found.warnings == (f"customer_lifetime_value has no figures: {reason}",)
    assert found.model["customers"] == len(days)
    assert {found.model[name] for name in found.model} == {len(days), 0, None}
    if days:
        without_figures(found, customers, *ALL)


@pytest.mark.parametrize("amount", ["10.00", "0.10"])
def test_equal_values_have_no_value_model(amount: str) -> None:
    customers = shop_of(VARIED, amount)
    found = lifetime_values(customers, AS_OF)
    without_figures(found, customers, "expected_purchase_value", "clv_365d", "clv_decile")
    assert "the average purchases of customers are all equal" in found.warnings[0]
    assert (found.model["p"], found.model["correlation"]) == (None, None)
    assert found.model["r"] is not None


@pytest.mark.parametrize(
    "days",
    [
        [[0]] * 150 + [list(range(0, 3_650, 3))],
        [[7 * week for week in range(52)]] * 150,
        [[0, 1]] * 150,
        [[3_650, 3_649]] * 150,
        [[0, 3_650]] * 150,
        [list(range(3_650))] * 120,
        [[700_000, 0], *VARIED],
    ],
    ids=["one heavy customer", "weekly", "new", "long gone", "old", "daily", "two thousand years"],
)
def test_odd_shops(days: list[list[int]]) -> None:
    """They have figures or a warning that says why not, and never an error."""
    customers = shop_of(days, [f"{number % 7 + 1}.50" for number in range(len(days))])
    found = lifetime_values(customers, AS_OF)
    if found.model["r"] is None:
        without_figures(found, customers, *ALL)
        assert "no model of purchases (BG/NBD) fits" in found.warnings[0]
    else:
        without_figures(found, customers, *(() if found.model["p"] else ALL[3:]))


def test_amounts_that_are_too_large() -> None:
    customers = shop_of(VARIED, [f"{2 * (number % 9 + 1)}0000000000000.00" for number in range(150)])
    found = lifetime_values(customers, AS_OF)
    without_figures(found, customers)
    assert 0 < found.customers["clv_365d"].null_count() < 150
    assert "customers have no lifetime value: it is too large" in found.warnings[-1]
    found.customers.select(pl.col("clv_365d", "expected_purchase_value").cast(pl.Decimal(18, 2)))


def test_amounts_of_all_sizes() -> None:
    customers = shop_of(VARIED, [f"{10 ** (number % 30)}.00" for number in range(150)])
    found = lifetime_values(customers, AS_OF)
    without_figures(found, customers, "expected_purchase_value", "clv_365d", "clv_decile")
    assert "150 customers have no lifetime value: the values of purchases are spread so widely" in found.warnings[-1]


def test_customers_who_bought_once_have_no_mean_to_expect_if_it_is_infinite() -> None:
    """Amounts of which few are a thousand times the others: q is below 1."""
    draws = np.random.default_rng(3)
    amounts = [f"{10 / draws.gamma(0.5):.2f}" for _ in range(400)]
    customers = shop_of([[300, 200, 10], [150]] * 200, amounts)
    found = lifetime_values(customers, AS_OF)
    assert isinstance(found.model["q"], float)
    assert found.model["q"] < 1
    once = found.customers.join(customers.filter(pl.col("purchase_days") == 1), on="customer_id", how="semi")
    assert once.null_count().row(0) == (0, 0, 0, 0, 200, 200, 200)
    assert found.customers["clv_365d"].null_count() == 200
    assert "200 customers have no lifetime value: the values of purchases are spread so widely" in found.warnings[-1]


def test_correlated_values_are_warned_about() -> None:
    customers = shop_of(VARIED, [f"{1 + len(days)}.00" for days in VARIED])
    found = lifetime_values(customers, AS_OF)
    assert found.model["correlation"] == 1.0
    assert "are correlated (1.00)" in found.warnings[0]


def test_a_young_shop_is_not_checked() -> None:
    found = lifetime_values(shop_of([[day // 2 for day in days] for days in VARIED]), AS_OF)
    assert found.model["holdout"] is None
    assert "the model of purchases could not be checked" in found.warnings[-1]
    assert found.model["r"] is not None


def test_the_first_days_of_the_calendar() -> None:
    found = lifetime_values(shop_of([[0, number % 90] for number in range(150)], as_of=date(1, 4, 1)), date(1, 4, 1))
    assert found.model["holdout"] is None


def test_no_sale_in_the_holdout() -> None:
    found = lifetime_values(shop_of([[day + 183 for day in days] for days in VARIED]), AS_OF)
    assert holdout_of(found)["made"] == 0
    assert holdout_of(found)["predicted_to_made"] is None


def test_many_customers_are_fitted_on_a_sample() -> None:
    """Which customers, depends on their ids only; all have figures."""
    draws = np.random.default_rng(5)
    days = [sorted({int(day) for day in draws.integers(0, 400, int(draws.integers(1, 5)))}) for _ in range(20_500)]
    customers = shop_of(days, [f"{number % 50 + 1}.00" for number in range(len(days))])
    found = lifetime_values(customers, AS_OF)
    assert (found.model["customers"], found.model["fitted_on"]) == (20_500, LARGEST_SAMPLE)
    assert found.customers["clv_365d"].null_count() == 0
    again = lifetime_values(customers.reverse(), AS_OF)
    assert again.model == found.model
    assert again.customers.equals(found.customers)


weeks = st.floats(0, 600)
counts = st.integers(1, 2_000)
models = st.builds(
    PurchaseModel, *[st.floats(0.001, 500)] * 2, *[st.floats(0.001, 500) | st.floats(0.999, 1.001)] * 2, st.just(0.0)
)


@given(models, counts, weeks, weeks, weeks)
def test_who_bought_more_recently_is_more_likely_alive(
    model: PurchaseModel, repeats: int, one: float, other: float, silence: float
) -> None:
    earlier, later = sorted((one, other))
    age = later + silence
    alive = model.p_alive(history((repeats, earlier, age), (repeats, later, age), (0, 0, age)))
    assert 0 <= alive[0] <= alive[1] <= alive[2] == 1


@given(models, counts, weeks, weeks, st.floats(0.1, 520))
def test_expected_purchases_are_possible(
    model: PurchaseModel, repeats: int, recency: float, silence: float, horizon: float
) -> None:
    age = recency + silence
    expected = model.expected_purchases(history((repeats, recency, age), (0, 0, age)), horizon)
    never_lost = (model.r + np.array([repeats, 0])) * horizon / (model.alpha + age)
    assert np.all((expected >= 0) & (expected <= 1.001 * never_lost))


days_bought = st.lists(st.integers(0, 500), min_size=1, max_size=6)


@given(st.lists(days_bought, min_size=5, max_size=12), st.randoms(use_true_random=False))
def test_laws_of_the_figures(some: list[list[int]], chance: Random) -> None:
    """Any customers in any order: a row for each, figures in their bounds, equal customers with equal figures."""
    customers = shop_of(
        VARIED + some + some, [f"{1 + number % 3}.99" for number in range(150)] + ["7.00"] * 2 * len(some)
    )
    found = lifetime_values(customers, AS_OF)
    order = list(range(customers.height))
    chance.shuffle(order)
    assert lifetime_values(customers[order], AS_OF).customers.equals(found.customers)
    without_figures(found, customers)
    figures = found.customers
    assert figures["p_alive"].is_between(0, 1).all()
    assert all((figures[name] >= 0).all() for name in FIGURES)
    assert figures[150 : 150 + len(some), 1:].equals(figures[150 + len(some) :, 1:])
    worse = [sum(other < clv for other in figures["clv_365d"]) for clv in figures["clv_365d"]]
    assert figures["clv_decile"].to_list() == [1 + 10 * count // len(worse) for count in worse]
