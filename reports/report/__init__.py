"""The report: jobs gathered, one document, JSON and files."""
