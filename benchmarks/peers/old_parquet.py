"""The last step of the old way: gold's rows as CSV to Parquet, with pandas."""

from pathlib import Path

import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]

for rows in Path("rows").glob("*.csv"):
    pd.read_csv(rows).to_parquet(f"lake/gold/{rows.stem}/data.parquet", index=False)
