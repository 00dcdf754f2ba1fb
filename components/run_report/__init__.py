"""Step 7, report: one HTML page with everything."""
