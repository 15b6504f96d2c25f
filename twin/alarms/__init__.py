"""Alarms after ISA-18.2: rules, states, commands of operators, floods.

Start with `engine`: a left fold over the samples of each alarm's tag. `rules` reads the rows
``[[alarm]]`` of a park model, `commands` has the table of states after a command, `metrics` counts
floods and the load of a period.
May import what `twin.step` may.
"""
