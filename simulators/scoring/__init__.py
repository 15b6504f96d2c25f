"""Scoring: the results of the twin for simulated parks, against the truth.

`harness` runs a park, its instruments and the twin in memory; `trials` plays each scenario;
`figures` compares every figure and its interval with the truth; `score` prints the table.
Start with `score`. May import all of simulators.
"""
