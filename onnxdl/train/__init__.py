"""Models that can be compiled, fit and saved; the train-step builder, the fit loop, callbacks."""
