"""Evaluation of enterprises (亩均效益评价): indicators, scores, classes, all rules configured.

Start with `model`: the tables of the park model. `score` makes scores, ranks and classes.
May import `twin.emissions` and what that may.
"""
