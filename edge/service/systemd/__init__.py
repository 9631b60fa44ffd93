"""Notifications of systemd, and its watchdog."""
