"""What collectors cost, and that they share: switches that answer with prepared bytes, and any number of collectors."""
