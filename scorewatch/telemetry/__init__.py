"""What is said about the work: logs, and the service manager."""
