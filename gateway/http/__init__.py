"""Plain HTTP beside the sockets."""
