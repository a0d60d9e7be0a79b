"""Real processes under real faults: acceptance, chaos and soak."""
