"""Alarms after ISA-18.2: rules, states, operator commands, performance metrics.

Start with `engine`: limits, deadbands and delays on samples, and the states of an alarm.
May import the ground of twin, `twin.model` and `twin.series`.
"""
