"""One module per view of the page: components placed and events wired, nothing computed."""
