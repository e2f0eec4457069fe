"""The dashboard: one document and one page of what is going on."""
