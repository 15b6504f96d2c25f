"""Validation of new samples: rate of change, standstill, unit errors; health of gateways.

Start with `assess`, which marks a block of samples; `rules` compiles its limits, `unit_errors`
follows the level of each tag. Samples are marked, never withheld; an operator answers a suspected
unit error (`unit_errors.dismiss`, `ingest.cycle.validation`).
May import `twin.reconciliation` and what that may.
"""
