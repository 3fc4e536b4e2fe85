"""What was found, in sentences and pages."""
