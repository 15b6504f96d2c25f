"""Emissions over HTTP: outlets by the hour, greenhouse gases.

Start with `routes`. May import the modules of api that stand beside this folder.
"""
