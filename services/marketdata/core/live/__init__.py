"""Rules of live marks: which one is the latest, and what is left out for a slow reader."""
