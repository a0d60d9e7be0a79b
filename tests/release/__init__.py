"""What is released: the wheel, the source archive and the SBOM that ``make release`` has made."""
