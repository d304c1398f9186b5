// Ships the sound of a MediaStream, as it is played, to a WebSocket: 16-bit little-endian stereo in
// blocks of 100 ms. Leaves `screamlabTap` with hear(stream), stop(), say(message) and
// report(connection).
async ({ socket }) => {
  const BLOCK_FRAMES = 4800;
  // What may wait for a busy page, in pieces of 10 ms, before sound is lost on our side.
  const WAITING = 1000;

  const outlet = new WebSocket(socket);
  await new Promise((resolve, reject) => {
    outlet.onopen = resolve;
    outlet.onerror = () => reject(new Error("the page cannot reach its worker"));
  });

  let block = new Int16Array(2 * BLOCK_FRAMES);
  let filled = 0;
  const plane = new Float32Array(BLOCK_FRAMES);
  const put = (data) => {
    const frames = data.numberOfFrames;
    for (const side of [0, 1]) {
      const planeIndex = Math.min(side, data.numberOfChannels - 1);
      data.copyTo(plane.subarray(0, frames), { planeIndex, format: "f32-planar" });
      for (let at = filled + side, frame = 0; frame < frames; frame++, at += 2) {
        block[at] = Math.max(-32768, Math.min(32767, Math.round(plane[frame] * 32768)));
      }
    }
    filled += 2 * frames;
  };

  // Straight from the track: Web Audio has a clock of its own, and now and then pads with silence.
  let reader = null;
  const hear = async (stream) => {
    stop();
    const [track] = stream.getAudioTracks();
    const processor = new MediaStreamTrackProcessor({ track, maxBufferSize: WAITING });
    const own = (reader = processor.readable.getReader());
    filled = 0;
    for (let next = await own.read(); !next.done; next = await own.read()) {
      if (filled + 2 * next.value.numberOfFrames > block.length) {
        outlet.send(block.subarray(0, filled));
        filled = 0;
      }
      put(next.value);
      next.value.close();
    }
  };
  const stop = () => {
    reader?.cancel();
    reader = null;
  };
  const say = (message) => outlet.send(JSON.stringify(message));

  // What a receiving RTCPeerConnection knows, as the lab's series have it.
  let buffered = { delay: 0, frames: 0 };
  const figures = async (connection) => {
    const found = {};
    for (const report of (await connection.getStats()).values()) {
      if (report.type === "inbound-rtp") {
        const frames = report.jitterBufferEmittedCount - buffered.frames;
        if (frames > 0) {
          const delay_s = (report.jitterBufferDelay - buffered.delay) / frames;
          found.jitter_buffer_ms = Math.round(delay_s * 1e6) / 1e3;
        }
        buffered = { delay: report.jitterBufferDelay, frames: report.jitterBufferEmittedCount };
        Object.assign(found, {
          packets: report.packetsReceived,
          lost: report.packetsLost,
          discarded: report.packetsDiscarded,
          bytes: report.bytesReceived,
          concealed_samples: report.concealedSamples,
          silent_concealed_samples: report.silentConcealedSamples,
          concealment_events: report.concealmentEvents,
          inserted_samples: report.insertedSamplesForDeceleration,
          removed_samples: report.removedSamplesForAcceleration,
          audio_level: report.audioLevel,
        });
      }
      if (report.type === "candidate-pair" && report.nominated) {
        found.round_trip_ms = report.currentRoundTripTime * 1e3;
      }
    }
    const known = Object.entries(found).filter(([, value]) => Number.isFinite(value));
    return Object.fromEntries(known);
  };
  const report = (connection) => {
    buffered = { delay: 0, frames: 0 };
    const timer = setInterval(async () => say({ figures: await figures(connection) }), 1000);
    return () => clearInterval(timer);
  };
  window.screamlabTap = { hear, stop, say, report };
}
