"""A room's captions for services that take them by HTTP: one POST a cue, each with a number."""
