"""Who may use the gateway, and how much of it.

One `Guard` decides, for requests and WebSockets alike, before anything of them is read; the ASGI
middleware `AccessControl` asks it. What was decided is a `Grant`, which routes and connections find
with `grant_of`.
"""

from gateway.access.grant import Grant, grant_of
from gateway.access.guard import Guard
from gateway.access.middleware import AccessControl

__all__ = ["AccessControl", "Grant", "Guard", "grant_of"]
