"""Claims of loads ─▶ one moment a model: it has claimed every load that was completed before.

A service that lands every five seconds makes 17,000 loads a day, and each incremental model claims
each of them. Models read both, the moment and the claims that are left: see
`macros/incremental/claims.sql`.
"""

from datetime import datetime

from ledger.settings import Settings
from loaders.target import RAW, Target

CLAIMS, SETTLED = "operations.load_claims", "operations.settled_claims"
SETTLED_UNTIL = f"""
    select
        models.model,
        greatest(
            max(settled.settled_until),
            least(
                min(case when claims.load_id is null then loads.inserted_at end),
                cast('{{before}}' as timestamptz)
            )
        ) as settled_until
    from (select model from {CLAIMS} union select model from {SETTLED}) as models
    left join {SETTLED} as settled on models.model = settled.model
    left join {RAW}._dlt_loads as loads
        on loads.status = 0
        and (settled.settled_until is null or loads.inserted_at >= settled.settled_until)
    left join {CLAIMS} as claims
        on models.model = claims.model and loads.load_id = claims.load_id
    group by models.model
"""
"""By model: the first completion of a load that it has not claimed, at most `before`."""
CLAIMS_TO_GO = f"""
    from (
        select load_id, max(inserted_at) as completed_at
        from {RAW}._dlt_loads
        where status = 0
        group by load_id
    ) as loads
    inner join {CLAIMS} as claims on loads.load_id = claims.load_id
    inner join ({{settled}}) as settled on claims.model = settled.model
    where loads.completed_at < settled.settled_until
"""


def settle_claims(settings: Settings, before: datetime, *, dry_run: bool) -> dict[str, int]:
    """Sum up the claims of loads completed before a moment; gives the rows that go by table.

    A load that becomes visible late was completed late: its moment is that of its completion. The
    moment given should lie so far back that no clock and no open transaction reaches it. With the
    run lock held.

    Raises:
        TargetError: the warehouse cannot be read or written.
    """
    target = Target(settings)
    settled = SETTLED_UNTIL.format(before=before.isoformat())
    rows = target.fetch(f"select count(*) {CLAIMS_TO_GO.format(settled=settled)}")
    if not rows or not rows[0][0]:
        return {}
    if not dry_run:
        to_go = CLAIMS_TO_GO.format(settled=f"select * from {SETTLED}")
        target.execute(
            # A build by hand may be about to forget what it has claimed.
            *([f"lock table {CLAIMS} in share row exclusive mode"] * (target.name != "duckdb")),
            f"insert into {SETTLED} {settled} on conflict (model) do update"
            " set settled_until = excluded.settled_until",
            f"delete from {CLAIMS}"
            f" where (model, load_id) in (select claims.model, claims.load_id {to_go})",
        )
    return {"load_claims": int(rows[0][0])}
