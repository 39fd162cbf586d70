"""Query construction against the AsymNet baseline, both networks in this run (the paper's Table 3).

    python benchmarks/table3.py [--seconds 2] [--out FILE.csv]

The measuring is that of ``dprnet reproduce table3``; here its figures become rows. Seconds by the clock.
"""

from __future__ import annotations

from _measure import Table, options

from dprnet.evaluate.timing import PUBLISHED_RATIO, TimingSettings, measure_timing


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="at least so long for each figure")
    given = parser.parse_args()
    table = Table("table3", given.out)
    found = measure_timing(TimingSettings(seconds=given.seconds, items=(2_000, 21_614)))
    query, gallery = found.ours_query.per_second, found.ours_gallery.per_second
    table.row("AsymNet, a query's feature", found.asymnet_query.per_second, "queries/s")
    table.row("AsymNet, a photo's feature", found.asymnet_gallery.per_second, "photos/s")
    table.row("ours (ResNet-50), a query's feature", query, "queries/s", "AsymNet", found.query_ratio)
    table.row("ours, a photo's feature", gallery, "photos/s", "AsymNet", gallery / found.asymnet_gallery.per_second)
    for one in found.matching:
        against = f"AsymNet; published {PUBLISHED_RATIO:,.0f}"
        table.row(f"a query with matching, {one.items} items", one.ours_s, "s", against, one.ratio)


if __name__ == "__main__":
    main()
