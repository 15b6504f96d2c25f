"""What-if over HTTP: scenarios asked for and answered.

Start with `routes`. May import the modules of api that stand beside this folder.
"""
