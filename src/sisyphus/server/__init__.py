"""The HTTP server: a client of the store like any other, without a state of its own."""
