"""Listeners by WebRTC: Debian's Chromium, the router's own page in it, and aiortc for numbers.

Every listener asks the router for one sink's sound by WHEP (draft-ietf-wish-whep, as ScreamRouter
0.3 has it) and hands what it decodes to the lab's one oracle. `session.Session` is one listener,
to be opened and closed as often as wanted.
"""

import site
import sysconfig

VENV = "/opt/screamlab/webrtc"
"""Where the role client_webrtc puts the Python packages that they alone need."""

site.addsitedir(sysconfig.get_path("purelib", "venv", {"base": VENV}))
