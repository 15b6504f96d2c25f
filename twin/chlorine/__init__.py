"""Chlorine: its balance and uses, liquid-chlorine tank farms, headroom, major hazards.

Start with `figures`; `tank_farms` says what the live values mean for each farm.
May import `twin.reconciliation` and what that may.
"""
