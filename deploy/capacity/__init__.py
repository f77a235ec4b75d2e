"""Capacity on paper: what so many speakers and viewers take. ``python -m deploy.capacity --help``.

`inputs` holds every figure and where it is from, `talk` when people speak, `copies` what a step
takes, `steps` simulates minutes of a pool step by step, `day` a day of it second by second,
`sizing` multiplies, `tables` writes what CAPACITY.md shows.
"""
