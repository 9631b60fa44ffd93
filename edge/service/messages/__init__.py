"""Messages of the service: a spool on disk, MQTT with Home Assistant discovery, webhooks."""
