"""Scenarios: events in a park, and the truth that results.

`script` reads the TOML files of this folder; `overlay` lays a script over the process, with the
truth as rows; `demand` shares chlorine out among users and tank farms when loads change.
Start with `script`. May import `simulators.process`.
"""
