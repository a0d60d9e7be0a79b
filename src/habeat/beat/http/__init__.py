"""The endpoint of a beat for probes and scrapers: /healthz, /readyz, /metrics (`habeat_http`)."""
