"""What watches a fleet: alerts, dashboard and scrape config, from one source for every target."""
