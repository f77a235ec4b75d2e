"""One codec per protocol: bytes and text to and from the messages of `messages`; no I/O."""
