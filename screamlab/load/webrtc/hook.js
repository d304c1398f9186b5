// Runs before anything of a page does: remembers its newest receiving RTCPeerConnection and how long
// that took from the offer to ICE's connection. The page notices nothing.
(() => {
  const seen = { connection: null, offered: null, connect_ms: null };
  window.screamlabSeen = seen;
  const Own = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Own {
    constructor(...options) {
      super(...options);
      Object.assign(seen, { connection: this, offered: null, connect_ms: null });
      this.addEventListener("iceconnectionstatechange", () => {
        const connected = ["connected", "completed"].includes(this.iceConnectionState);
        if (connected && seen.connection === this) {
          seen.connect_ms ??= performance.now() - seen.offered;
        }
      });
      this.addEventListener("connectionstatechange", () => {
        if (["failed", "closed"].includes(this.connectionState) && seen.connection === this) {
          window.screamlabTap?.say({ lost: `the connection is ${this.connectionState}` });
        }
      });
    }
    setLocalDescription(...description) {
      seen.offered ??= performance.now();
      return super.setLocalDescription(...description);
    }
  };
})();
