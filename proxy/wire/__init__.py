"""Pure codecs, one per API: bytes of a request to a Conversation, bytes of a reply to deltas."""
