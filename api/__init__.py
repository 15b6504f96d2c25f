"""The readers: FastAPI routes, the live feed, the console. It never writes samples.

One subject is one module: `energy`, `chlorine`, `balance`, `alarms` … hold its shapes, queries and
routes. `live` pushes to the console; `windows` and `sums` read amounts over windows of time;
`store` is the door to the database, `queries` its SQL. Start with `app`.
May import twin and `deploy.database`.
"""
