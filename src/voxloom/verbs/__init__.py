"""What people do with runs, one file per verb, for every task alike."""
