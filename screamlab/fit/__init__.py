"""From measurements of a real path to a profile that replays it."""

KNOWN = "irtt JSON, ping output, a pcap with RTP, lines of /api/stats, a run folder"
