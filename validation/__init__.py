"""One script per claim: the claim, its reference, the run, its negative control, and the verdict it stores."""
