"""Emissions: stacks and drains by the hour, validity of monitors, permits, greenhouse gases.

Start with `outlets`: what each hour sends out of a stack or a drain.
May import `twin.reconciliation` and what that may.
"""
