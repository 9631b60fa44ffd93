"""Models of a loop: a teacher answers until its student takes over, in a service that runs."""
