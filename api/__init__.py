"""The readers: FastAPI routes, the live feed, the console. They never write samples.

One subject is one module with the types of its answers, its queries and its routes: `park`,
`latest`, `history`, `energy`, `industry`, `heat`, `chlorine`, `balance`, `byproducts`,
`emissions/`, `alarms`, `targets/`, `scenarios/`, `quarantine`, `registers`, `unit_errors`,
`health`. Below them: `windows` and `sums` (amounts over windows of time), `context` (what every
route needs), `live/` (the image and the feed), `answers`, `encode`, `table` (types, units of
measure, JSON, CSV), `store` and `queries` (the database). Start with `app`, then `park`. May
import twin and `deploy.database`.
"""
