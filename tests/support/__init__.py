"""What suites share: real servers, proxies, processes."""
