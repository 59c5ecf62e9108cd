"""How often customers buy again (BG/NBD) and for how much (Gamma-Gamma), fitted by maximum likelihood.

Slow to import, for SciPy. All arrays have one item per customer. Figures that overflow are not finite; nothing warns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import betaincinv, expit, gammaln, hyp2f1, psi, roots_legendre

Array = npt.NDArray[np.float64]

_STARTS: Final = (0.0, 2.0, -2.0)
_LARGEST: Final = 10.0
"""Of the logarithm of a parameter: the search is from 0.00005 to 22,000."""
_FLAT: Final = 1e-4
"""The slope of the mean log-likelihood, below which a search has converged."""
_POLE: Final = 1e-5
_SAME: Final = 1e-9
_POINTS: Final = 100


@dataclass(frozen=True)
class Histories:
    """Repeat purchases; weeks from the first purchase to the last, and to the end of what is known."""

    repeats: Array
    recency: Array
    age: Array


@dataclass(frozen=True)
class PurchaseModel:
    """BG/NBD (Fader, Hardie, Lee 2005, "Counting Your Customers the Easy Way"), time in weeks.

    A customer buys at random times at a rate that is gamma distributed over customers (r, alpha), and is lost
    after a repeat purchase with a probability that is beta distributed over them (a, b).
    """

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float

    def p_alive(self, customers: Histories) -> Array:
        """The probability of not being lost yet, 0 to 1; always 1 without a repeat purchase."""
        with np.errstate(all="ignore"):
            alive: Array = expit(-self._log_odds_of_loss(customers))
        return alive

    def expected_purchases(self, customers: Histories, weeks: float) -> Array:
        """How many purchases to expect in the next weeks, whether or not the customer is lost."""
        rate, scale = self.r + customers.repeats, weeks / (self.alpha + customers.age)
        with np.errstate(all="ignore"):
            alive = _purchases_if_alive(self.a, self.b + customers.repeats, rate, scale)
            expected: Array = alive * self.p_alive(customers)
        return expected

    def _log_odds_of_loss(self, customers: Histories) -> Array:
        again = customers.repeats > 0
        before = np.where(again, self.b + customers.repeats - 1, 1.0)
        silence = np.log(self.alpha + customers.age) - np.log(self.alpha + customers.recency)
        odds = np.log(self.a) - np.log(before) + (self.r + customers.repeats) * silence
        return np.where(again, odds, -np.inf)


def fit_purchases(customers: Histories) -> PurchaseModel | None:
    """The BG/NBD model with the greatest likelihood, or None if the search does not converge; order never matters."""
    rows = np.column_stack([customers.repeats, customers.recency, customers.age])
    different, found_times = np.unique(rows, axis=0, return_counts=True)
    counts = found_times.astype(np.float64)
    histories = Histories(*different.T)
    found = _greatest(lambda logs: purchase_likelihood(np.exp(logs), histories, counts), 4)
    if found is None:
        return None
    (r, alpha, a, b), log_likelihood = found
    return PurchaseModel(r, alpha, a, b, log_likelihood)


def purchase_likelihood(parameters: Array, customers: Histories, counts: Array) -> tuple[Array, Array]:
    """Each customer's log-likelihood, and its derivative by each parameter, times their counts."""
    r, alpha, a, b = parameters
    x, recency, age = customers.repeats, customers.recency, customers.age
    model = PurchaseModel(r, alpha, a, b, 0.0)
    odds = model._log_odds_of_loss(customers)
    lost, alive = expit(odds), expit(-odds)
    likelihood = (
        gammaln(r + x) - gammaln(r) + r * np.log(alpha) - (r + x) * np.log(alpha + age) + np.logaddexp(0.0, odds)
        + gammaln(a + b) - gammaln(a + b + x) + gammaln(b + x) - gammaln(b)
    )  # fmt: skip
    by_age, by_recency = alive / (alpha + age), lost / (alpha + recency)
    before = np.where(x > 0, b + x - 1, 1.0)
    derivatives = [
        psi(r + x) - psi(r) + np.log(alpha) - alive * np.log(alpha + age) - lost * np.log(alpha + recency),
        r / alpha - (r + x) * (by_age + by_recency),
        psi(a + b) - psi(a + b + x) + lost / a,
        psi(a + b) - psi(a + b + x) + psi(b + x) - psi(b) - lost / before,
    ]
    return likelihood * counts, np.array(derivatives) * counts


@dataclass(frozen=True)
class ValueModel:
    """Gamma-Gamma (Fader, Hardie 2013, "The Gamma-Gamma Model of Monetary Value").

    The values of a customer's purchases are gamma distributed with shape p; their scale differs between customers
    and is gamma distributed too (q, gamma). How much someone spends does not depend on how often.
    """

    p: float
    q: float
    gamma: float

    @property
    def population_mean(self) -> float:
        """The mean purchase over all customers, p × gamma ÷ (q - 1); infinite unless q is above 1."""
        return self.p * self.gamma / (self.q - 1) if self.q > 1 else np.inf

    def expected_value(self, purchases: Array, mean: Array) -> Array:
        """The value to expect of the next purchase of customers with so many purchases of that mean."""
        with np.errstate(all="ignore"):
            expected: Array = (self.gamma + purchases * mean) * self.p / (self.p * purchases + self.q - 1)
        return expected


def fit_values(purchases: Array, mean: Array) -> ValueModel | None:
    """The Gamma-Gamma model with the greatest likelihood for the mean of so many purchases of each customer.

    None if all means are equal, which leaves it undetermined, one is not positive, or the search does not converge.
    """
    if not np.all((mean > 0) & np.isfinite(mean)) or np.ptp(mean) <= _SAME * np.max(mean):
        return None
    unit = float(np.mean(np.sort(mean)))
    order = np.lexsort((mean, purchases))
    found = _greatest(lambda logs: value_likelihood(np.exp(logs), purchases[order], mean[order] / unit), 3)
    if found is None:
        return None
    p, q, gamma = found[0]
    return ValueModel(p, q, gamma * unit)


def value_likelihood(parameters: Array, n: Array, mean: Array) -> tuple[Array, Array]:
    """Each customer's log-likelihood, and its derivative by each parameter."""
    p, q, gamma = parameters
    total = n * mean
    likelihood = (
        gammaln(p * n + q) - gammaln(p * n) - gammaln(q)
        + q * np.log(gamma) + p * n * np.log(total) - np.log(mean) - (p * n + q) * np.log(gamma + total)
    )  # fmt: skip
    derivatives = [
        n * (psi(p * n + q) - psi(p * n) + np.log(total) - np.log(gamma + total)),
        psi(p * n + q) - psi(q) + np.log(gamma) - np.log(gamma + total),
        q / gamma - (p * n + q) / (gamma + total),
    ]
    return likelihood, np.array(derivatives)


def _greatest(likelihood: Callable[[Array], tuple[Array, Array]], count: int) -> tuple[list[float], float] | None:
    """The parameters where the sum of a log-likelihood is greatest, and that sum, from the first start that converges.

    The search is over the logarithms of `count` parameters, within limits; its method uses one core only.
    """

    def objective(logs: Array) -> tuple[float, Array]:
        each, derivatives = likelihood(logs)
        return -float(np.sum(each)) / size, -np.sum(derivatives, axis=1) * np.exp(logs) / size

    options = {"maxiter": 1_000, "ftol": 1e-13}
    bounds = [(-_LARGEST, _LARGEST)] * count
    with np.errstate(all="ignore"):
        size = len(likelihood(np.zeros(count))[0])
        for start in _STARTS:
            found = minimize(objective, np.full(count, start), jac=True, method="SLSQP", bounds=bounds, options=options)
            slope = found.x - np.clip(found.x - objective(found.x)[1], -_LARGEST, _LARGEST)
            if np.isfinite(found.fun) and np.max(np.abs(slope)) < _FLAT:
                return [float(value) for value in np.exp(found.x)], -float(found.fun) * size
    return None


def _purchases_if_alive(a: float, b: Array, rate: Array, scale: Array) -> Array:
    """Their formula for customers who are not lost: the mean of (1 - (1 + p × scale)^-rate) ÷ p for p of beta (a, b).

    Its 2F1 is transformed to smaller arguments; where that overflows, the mean is integrated. Where a or a + b is 1 the
    formula divides by zero: it is taken beside it.
    """
    above = _off_pole(a) - 1
    c = np.where(np.abs(a + b - 1) < _POLE, _POLE, a + b - 1)
    rest = (1 + scale) ** -above * hyp2f1(c - rate, above, c, scale / (1 + scale))
    mean: Array = c / above * (1 - rest)
    failed = ~(np.isfinite(mean) & (mean >= 0) & (mean <= 1.001 * rate * scale))
    if failed.any():
        mean[failed] = _integrated(a, b[failed], rate[failed], scale[failed])
    return mean


def _integrated(a: float, b: Array, rate: Array, scale: Array) -> Array:
    """The same by quadrature over the quantiles of p: slower, less exact, never an overflow."""
    points, weights = roots_legendre(_POINTS)
    p = np.maximum(betaincinv(a, b[:, np.newaxis], (points + 1) / 2), np.finfo(float).tiny)
    each = -np.expm1(-rate[:, np.newaxis] * np.log1p(p * scale[:, np.newaxis])) / p
    mean: Array = np.sum(each * weights, axis=1) / 2
    return mean


def _off_pole(value: float) -> float:
    return 1 + _POLE if abs(value - 1) < _POLE else value
