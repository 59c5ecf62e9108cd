"""The list of queries with names, for `shopease query --list` and the shell."""

import logging

from shopease_etl.cli.console import Console
from shopease_etl.cli.tabular import Grid
from shopease_etl.errors import ConfigurationError
from shopease_etl.stages.named_queries import SHIPPED, NamedQueries, NamedQuery
from shopease_etl.warehouse.parameters import parameters_in

log = logging.getLogger(__name__)


def parameters_of(query: NamedQuery) -> tuple[str, ...]:
    """The parameters of a query; none if it is not valid SQL, which is an error only when it is run."""
    try:
        return parameters_in(query.sql)
    except ConfigurationError:
        return ()


def list_queries(named: NamedQueries, console: Console) -> None:
    """Print the queries, with their parameters and files if any has them; files that are no queries are warnings."""
    rows = [(query, parameters_of(query)) for query in named.queries.values()]
    columns = {
        "name": [query.name for query, _ in rows],
        "description": [query.description for query, _ in rows],
        "parameters": [" ".join(parameters) for _, parameters in rows],
        "from": [query.source for query, _ in rows],
    }
    if not any(columns["parameters"]):
        del columns["parameters"]
    if {*columns["from"]} == {SHIPPED}:
        del columns["from"]
    grid = Grid(list(columns), list(zip(*columns.values(), strict=True)), prose=("description",), droppable=("from",))
    for file, why in named.refused.items():
        log.warning("%s is not a query: %s", file, why)
    document = [
        {
            "name": query.name,
            "description": query.description,
            "sql": query.sql,
            "parameters": parameters,
            "source": query.source,
        }
        for query, parameters in rows
    ]
    console.result(document, lambda: grid)
