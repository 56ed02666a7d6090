-- What: the lowest band starts at 0, so that every score from 0 to 100 has a band.
-- When it matters: when seed health_score_bands is edited.
-- How to resolve: give the lowest band min_score 0.
select min(min_score) as lowest_score
from {{ ref('health_score_bands') }}
having min(min_score) <> 0
