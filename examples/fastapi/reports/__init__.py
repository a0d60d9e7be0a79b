"""Reports that tenants schedule themselves, through a FastAPI application."""
