"""Rows of data as they come over the wire, whatever their form, as columns."""
