"""Targets of policy: figures against goals with a date, the asset register, pace and change.

Start with `model` (tables ``[[target]]`` and ``[[asset]]``, the closed list of figures); `verdicts`
judges, `assets` has the figures of the register, `trend` the pace and the forecast,
`decomposition` what moved a ratio, `retrofits` the plan of the electrolysers,
`freight` the goods that go far, `benchmark` parks side by side.
May import `twin.model` and the ground of the twin.
"""

from twin.targets.verdicts import MET, NOT_MET, UNDECIDED, WORDS, shortfall, verdict

__all__ = ["MET", "NOT_MET", "UNDECIDED", "WORDS", "shortfall", "verdict"]
