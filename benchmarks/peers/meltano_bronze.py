"""Meltano's PostgreSQL extractor piped into its CSV loader, as `meltano run` does it, without Meltano around them.

The loader writes files on this machine; s5cmd takes them to S3, as Meltano's registry has no S3 loader in CSV that is
a package.
"""

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit


def source_settings() -> dict[str, object]:
    """The extractor's settings; it insists on a host and a password, which the socket in the query overrides."""
    found = urlsplit(os.environ["BENCH_URL"])
    url = f"postgresql+psycopg2://{found.username}:none@localhost{found.path}?{found.query}"
    return {"sqlalchemy_url": url.replace("&port=5432", ""), "filter_schemas": ["public"]}


def main() -> None:
    """All six tables as CSV."""
    Path("tap.json").write_text(json.dumps(source_settings()))
    Path("target.json").write_text(json.dumps({"output_path": "bronze"}))
    found = subprocess.run(["tap-postgres", "--config", "tap.json", "--discover"], check=True, stdout=subprocess.PIPE)
    catalog = json.loads(found.stdout)
    for stream in catalog["streams"]:
        stream["metadata"].append(
            {"breadcrumb": [], "metadata": {"selected": True, "replication-method": "FULL_TABLE"}}
        )
        stream["metadata"] = [one for one in stream["metadata"] if one["breadcrumb"]] + stream["metadata"][-1:]
    Path("catalog.json").write_text(json.dumps(catalog))
    Path("bronze").mkdir()
    tap = ["tap-postgres", "--config", "tap.json", "--catalog", "catalog.json"]
    with subprocess.Popen(tap, stdout=subprocess.PIPE) as rows:
        subprocess.run(
            ["target-csv", "--config", "target.json"], stdin=rows.stdout, check=True, stdout=subprocess.DEVNULL
        )
    upload = ["s5cmd", "--endpoint-url", os.environ["AWS_ENDPOINT_URL"], "--log", "error", "cp", "bronze/"]
    subprocess.run([*upload, f"{os.environ['BENCH_LAKE']}/bronze/"], check=True)


if __name__ == "__main__":
    main()
