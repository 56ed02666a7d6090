"""An incremental sync after 0.1 % of the orders changed asks only for the changed pages."""

import httpx

from benchmarks.landing import api
from benchmarks.measure import empty_warehouse, figure, quick
from benchmarks.peers import ours

PAGE = 1000


def main() -> None:
    """Print pages asked for against pages that hold a change."""
    count = 5_000 if quick() else 100_000
    changed = count // 1000
    with empty_warehouse("duckdb") as settings:
        with api(count) as url:
            ours(settings, url)
            first = httpx.get(f"{url}/requests").json()
        with api(count, changed) as url:
            ours(settings, url)
            second = httpx.get(f"{url}/requests").json()
    rows = [sum(request["rows"] for request in log) for log in (first, second)]
    measured = (
        f"{len(second)} requests, {rows[1]:,} rows for {changed:,} changed; "
        f"the first sync took {len(first)} and {rows[0]:,}"
    )
    needed = -(-changed // PAGE)
    figure("pages asked for against pages changed", "duckdb", len(second) / needed, "≤ 1", measured)


if __name__ == "__main__":
    main()
