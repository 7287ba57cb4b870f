"""The inbox: discovery, readiness and claims."""
