"""The fault corpus: labelled cases for the quality checks, made from code and data that may be published."""
