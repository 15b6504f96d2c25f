"""How a figure of an answer was calculated: one mechanism for the figures of all routes.

The address of a figure is the address of its answer with a JSON pointer into it. The answer is
asked again and again on the same readings, each time with other inputs left out or changed
(`replay`), and what changes the figure is its input (`search`). `figures` reads answers and the
OpenAPI document, `inputs` and `factors` say what an input is and where it comes from. Start with
`routes`. May import what subjects of the API may, and no subject.
"""
