// Whether an element of the page plays a connected stream, in the way a person would hear it; and if
// so its sound goes to the tap. Answers with the connect time, or null.
async () => {
  const plays = (element) =>
    element.srcObject instanceof MediaStream &&
    !element.paused &&
    !element.muted &&
    element.volume > 0 &&
    element.currentTime > 0;
  const found = [...document.querySelectorAll("audio, video")].find(plays);
  const { connection, connect_ms } = window.screamlabSeen;
  if (!found || connect_ms === null) return null;
  window.screamlabTap.hear(found.srcObject);
  window.screamlabTap.report(connection);
  return connect_ms;
}
