"""Teaching: a teacher answers at once, a student learns from it and takes over."""
