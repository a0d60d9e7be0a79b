"""The project that the deployment files start. Replace it with yours."""
