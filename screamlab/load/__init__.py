"""Load: native senders and receivers for legacy Scream and RTP, and the GStreamer client."""
