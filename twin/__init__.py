"""The pure core of the twin: arrays in, arrays out; no I/O, no clock.

Rooms, from the ground up; a room imports only those before it:
arrays, errors, quality, uom, reference, faraday, stoichiometry, water: the ground;
model: a park as its files describe it; series: samples, the image, minutes, windows of time;
accounts: what each tag adds to which balance; `step` and `replay`: the derived values of a cycle;
reconciliation: flows that close every balance, their intervals and gross errors;
alarms, validation, chlorine, energy, emissions, byproducts, scenario: one subject each.
On top, `loading` reads a park folder and says everything that is wrong with it.
Start with `twin.step.step`, the calculation of one cycle.
"""
