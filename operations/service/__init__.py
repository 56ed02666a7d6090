"""`warehouse serve`: the web application that takes events in, and the worker that lands them."""
