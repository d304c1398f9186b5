"""SIP devices: register, show presence, call, and play their audio where the answer says."""
