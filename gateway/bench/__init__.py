"""Load generator: real-time clients, what they waited for, and how many a server can have.

`plan` says what is played, `client` and `load` play it, `timeline` and `figures` measure what came
back, `words` knows when each word was spoken, `usage` watches the server, `capacity` searches,
`report` and `page` tell.
"""
