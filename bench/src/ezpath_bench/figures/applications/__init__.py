"""Applications of the paper's between two guests: memcached, nginx and ZeroMQ, each with what generates its load."""
