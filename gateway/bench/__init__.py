"""Load generator: real-time clients, what they waited for, and how many a server can have.

`wish` is what was asked for, `mix` and `visits` make a `plan` of it: kinds of sessions, and who
comes when. `load` and `player` play any plan, `client` is a connection, `pacer` the clock of all.
`figures` and `spoken` measure what came back, `tally` sums it up, `course` looks at it over time;
`usage` watches the server, `capacity` searches, `report`, `page` and `printed` tell.
"""
