"""Products and convolutions that read only what active inputs ask for, as operators of torch."""
