"""Pure: scores to plan to verdict to action; knows nothing of detectors or HTTP."""
