"""Masks behind a person's clicks and boxes."""
