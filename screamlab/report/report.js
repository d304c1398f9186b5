"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const PHASES = {
    null_path: "rgba(130,80,168,.12)", settle: "rgba(120,130,140,.10)",
    ramp: "rgba(226,160,40,.12)", hold: "rgba(40,140,220,.07)", drain: "rgba(40,170,120,.12)",
    impaired: "rgba(200,50,50,.16)", recover: "rgba(226,160,40,.12)",
  };
  const COLOURS = [
    "#2f81d6", "#e0752d", "#2ba36f", "#d6464b", "#8f63c9", "#a0673f", "#d95fa5", "#7d8790",
    "#b0a020", "#1fa9b8",
  ];
  const CONFIG = {
    responsive: true, displaylogo: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
  };
  const drawn = [];

  const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const shades = () => data.phases.map(phase => ({
    type: "rect", xref: "x", yref: "paper", layer: "below", line: { width: 0 },
    x0: phase.from_s, x1: phase.to_s, y0: 0, y1: 1, fillcolor: PHASES[phase.kind] || "transparent",
  }));

  // A phase too short for its name keeps its shade; the legend above the charts names all.
  const wide = phase => phase.to_s - phase.from_s > 0.04 * data.end_s;

  const names = () => data.phases.filter(wide).map(phase => ({
    text: phase.name, xref: "x", yref: "paper", x: (phase.from_s + phase.to_s) / 2, y: 1,
    yanchor: "bottom", showarrow: false, font: { size: 11 },
  }));

  function layout(chart) {
    const axis = { gridcolor: style("--line"), zerolinecolor: style("--line"), automargin: true };
    return {
      height: chart.height, margin: { l: 60, r: 20, t: 20, b: 40 },
      paper_bgcolor: "transparent", plot_bgcolor: "transparent",
      font: { color: style("--soft"), size: 12 }, hovermode: chart.kind === "lines" ? "x unified" : "closest",
      xaxis: { ...axis, ticksuffix: " s", range: [0, data.end_s] },
      yaxis: {
        ...axis, title: { text: chart.unit === "% lost" ? "" : chart.unit },
        rangemode: chart.kind === "lines" ? "tozero" : "normal", type: chart.kind === "lines" ? "linear" : "category",
        autorange: chart.kind === "heat" ? "reversed" : true,
      },
      legend: { orientation: "h", y: -0.15, font: { size: 11 } },
      modebar: { bgcolor: "transparent", color: style("--soft"), activecolor: style("--ink") },
      shapes: shades(),
      annotations: chart.kind === "heat" ? [] : names(),
    };
  }

  function dress(chart) {
    return chart.traces.map(trace => {
      if (trace.type === "heatmap") {
        return {
          ...trace, hoverongaps: false, ygap: trace.y.length > 60 ? 0 : 1,
          colorscale: [[0, "#2ba36f"], [1e-9, "#c9c04a"], [0.1, "#e0752d"], [1, "#c62a2f"]],
          colorbar: { title: { text: "% lost" }, thickness: 10 },
        };
      }
      if (trace.mode === "markers") return { ...trace, marker: { size: 7, opacity: 0.7, color: style("--soft") } };
      const colour = COLOURS[trace.colour % COLOURS.length];
      if (trace.band) {
        return { ...trace, line: { width: 0, color: colour }, fillcolor: colour + "33", hoverinfo: "skip" };
      }
      return { ...trace, line: { width: 1.5, color: colour } };
    });
  }

  let following = false;
  function follow(source, change) {
    if (following) return;
    const range = change["xaxis.range[0]"] === undefined
      ? (change["xaxis.autorange"] ? [0, data.end_s] : null)
      : [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    if (!range) return;
    following = true;
    Promise.all(drawn.filter(one => one !== source).map(one => Plotly.relayout(one, { "xaxis.range": range })))
      .finally(() => { following = false; });
  }

  function draw(chart) {
    const place = document.getElementById("chart-" + chart.id);
    const current = drawn.length ? drawn[0].layout.xaxis.range.slice() : [0, data.end_s];
    const plan = layout(chart);
    plan.xaxis.range = current;
    Plotly.newPlot(place, dress(chart), plan, CONFIG);
    place.on("plotly_relayout", change => follow(place, change));
    drawn.push(place);
  }

  const waiting = new Map(data.charts.map(chart => [document.getElementById("chart-" + chart.id), chart]));
  const watcher = new IntersectionObserver(entries => {
    for (const entry of entries) {
      if (!entry.isIntersecting || !waiting.has(entry.target)) continue;
      draw(waiting.get(entry.target));
      waiting.delete(entry.target);
      watcher.unobserve(entry.target);
    }
  }, { rootMargin: "400px" });
  for (const place of waiting.keys()) watcher.observe(place);

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const place of drawn) {
      Plotly.relayout(place, {
        "font.color": style("--soft"), "xaxis.gridcolor": style("--line"), "yaxis.gridcolor": style("--line"),
      });
    }
  });
})();
