"""What classification and regression share: whole scans in, one answer per case out."""
