"""Reports: pages and figures from the files of a run or a data set. Never imports torch."""
