// A listener by WHEP inside a page of the router's own origin; see whep.py for the protocol.
// Needs screamlabTap. Leaves `screamlabListener` with open() and close().
({ path, heartbeat_ms, connect_ms, poll_ms, buffer_ms }) => {
  const tap = window.screamlabTap;
  let connection = null;
  let location = null;
  let timers = [];

  const call = async (method, path, type, body) => {
    const headers = type ? { "Content-Type": type } : {};
    const answer = await fetch(path, { method, headers, body });
    if (!answer.ok) {
      const said = await answer.text();
      throw new Error(`${method} ${path} was refused (${answer.status}): ${said}`);
    }
    return answer;
  };
  const lose = (reason) => {
    if (connection) {
      tap.say({ lost: reason });
      forget();
    }
  };
  const forget = () => {
    timers.forEach((stop) => stop());
    timers = [];
    tap.stop();
    connection?.close();
    connection = null;
  };
  const every = (milliseconds, act) => {
    const timer = setInterval(act, milliseconds);
    timers.push(() => clearInterval(timer));
  };

  const connected = (peer) =>
    new Promise((resolve, reject) => {
      const failed = () => reject(new Error(`ICE is ${peer.iceConnectionState}`));
      const timer = setTimeout(failed, connect_ms);
      timers.push(() => clearTimeout(timer));
      peer.addEventListener("iceconnectionstatechange", () => {
        if (["connected", "completed"].includes(peer.iceConnectionState)) resolve();
        if (["failed", "closed"].includes(peer.iceConnectionState)) failed();
      });
    });

  const receive = (peer) => {
    const audio = new Audio();
    peer.addEventListener("track", ({ streams: [stream], receiver }) => {
      receiver.jitterBufferTarget = buffer_ms;
      // Chromium hands a remote track to Web Audio only while an element plays it.
      audio.srcObject = stream;
      audio.play();
      tap.hear(stream);
    });
    return peer.addTransceiver("audio", { direction: "recvonly" });
  };

  const trickle = (peer) => {
    const waiting = [];
    const send = ({ candidate, sdpMid }) => {
      const body = JSON.stringify({ candidate, sdpMid });
      call("PATCH", location, "application/json", body).catch(() => {});
    };
    peer.addEventListener("icecandidate", ({ candidate }) => {
      if (candidate?.candidate) location ? send(candidate) : waiting.push(candidate);
    });
    return () => waiting.splice(0).forEach(send);
  };

  const poll = async (peer) => {
    while (peer === connection && peer.iceConnectionState !== "connected") {
      const found = await (await call("GET", `${location}/candidates`)).json();
      for (const { candidate, sdpMid } of found) {
        await peer.addIceCandidate({ candidate: candidate.replace(/^a=/, ""), sdpMid });
      }
      await new Promise((resolve) => setTimeout(resolve, poll_ms));
    }
  };

  const watch = (peer) => {
    peer.addEventListener("connectionstatechange", () => {
      if (["failed", "closed"].includes(peer.connectionState)) {
        lose(`the connection is ${peer.connectionState}`);
      }
    });
    const beat = () => call("POST", location).catch((error) => lose(error.message));
    every(heartbeat_ms, beat);
    timers.push(tap.report(peer));
  };

  const open = async () => {
    location = null;
    const peer = (connection = new RTCPeerConnection());
    receive(peer);
    const flush = trickle(peer);
    const offer = await peer.createOffer();
    // Without it Chromium decodes to one channel; the router's page does the same.
    offer.sdp = offer.sdp.replace(/useinbandfec=1/, "useinbandfec=1;stereo=1;sprop-stereo=1");
    const state = connected(peer);
    state.catch(() => {});
    await peer.setLocalDescription(offer);
    const began = performance.now();
    try {
      const answer = await call("POST", path, "application/sdp", offer.sdp);
      location = answer.headers.get("Location");
      tap.say({ location });
      flush();
      await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
      await Promise.race([state, poll(peer).then(() => state)]);
    } catch (error) {
      await close().catch(() => {});
      throw error;
    }
    const took = performance.now() - began;
    watch(peer);
    return took;
  };
  const close = async () => {
    const left = location;
    location = null;
    forget();
    if (left) await call("DELETE", left);
  };
  window.screamlabListener = { open, close };
}
