"""`chunkguard experiment`: what a guard mends and what it breaks, against a placebo, paired by prompt."""
