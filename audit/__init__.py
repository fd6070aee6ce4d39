"""Search for prompts on which a model mis-routes (`chunkguard audit`), and policies drafted from what was found.

One rule: nothing is reported that was not confirmed on fresh answers against a twin without the trigger.
"""
