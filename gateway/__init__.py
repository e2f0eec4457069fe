"""What stands in front of the services: the dashboard and the proxies."""
