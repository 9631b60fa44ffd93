"""Commands of labeling, and of the loop that it closes: a module for each verb."""
