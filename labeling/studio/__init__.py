"""Studio: a local web page to draw, correct and judge labels."""
