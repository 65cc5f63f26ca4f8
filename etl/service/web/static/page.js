// Keeps the page alive: listens to what happens, has the page fetched again, draws charts, tells how long ago things were.
"use strict";

(() => {
  const state = document.getElementById("live-state");
  const own = document.body.dataset.pipeline;
  const APART_MS = 500;
  let waiting = 0;
  let refreshedAt = -APART_MS;
  let isMissed = false;

  const show = (value, word) => {
    if (!state) return;
    state.dataset.state = value;
    state.querySelector(".word").textContent = word;
  };

  const refresh = () => {
    if (document.hidden) {
      isMissed = true;
      return;
    }
    if (waiting) return;
    waiting = setTimeout(() => {
      waiting = 0;
      refreshedAt = performance.now();
      document.body.dispatchEvent(new Event("etl-change"));
    }, Math.max(refreshedAt + APART_MS - performance.now(), 20));
  };

  const listen = () => {
    const source = new EventSource("/ui/events");
    let isKnown = false;
    source.addEventListener("hello", () => {
      if (state.dataset.state === "lost") refresh();
      isKnown = true;
      show("on", "live");
    });
    source.addEventListener("change", (event) => {
      const { pipeline } = JSON.parse(event.data);
      if (!own || pipeline === own) refresh();
    });
    source.addEventListener("error", () => {
      show("lost", isKnown ? "reconnecting" : "not live");
      if (source.readyState === EventSource.CLOSED) {
        source.close();
        setTimeout(listen, 5000);
      }
    });
    addEventListener("pagehide", () => source.close());
  };

  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const length = (seconds) => {
    const [size, name] = UNITS.find(([size]) => seconds >= size * 2) || [1, "s"];
    return `${Math.floor(seconds / size)} ${name}`;
  };
  const ago = () => {
    for (const element of document.querySelectorAll("time[data-ago]")) {
      const seconds = (Date.now() - Date.parse(element.dateTime)) / 1000;
      const text = Math.abs(seconds) < 2 ? "now" : seconds < 0 ? `in ${length(-seconds)}` : `${length(seconds)} ago`;
      if (element.textContent !== text) element.textContent = text;
    }
  };

  const short = (value) => {
    for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
      if (Math.abs(value) >= size) return `${+(value / size).toFixed(1)}${unit}`;
    return `${+value.toFixed(value < 10 ? 2 : 0)}`;
  };
  const FORMATS = {
    rows: short,
    bytes: (value) => `${short(value)}B`,
    s: (value) => (value && value < 1 ? `${+(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms` : `${+value.toFixed(1)} s`),
    moment: (value) => new Date(value * 1000).toISOString().slice(5, 16).replace("T", " "),
  };
  const drawn = new Map();

  const stacked = (series) => {
    const below = series[0].values.map(() => 0);
    return series.map((one) => one.values.map((value, index) => (below[index] += value || 0)));
  };

  const draw = (element) => {
    const text = element.dataset.chart;
    const known = drawn.get(element);
    if (known && known.text === text) return;
    const chart = JSON.parse(text);
    if (!chart.batches.length) return;
    known?.plot.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const format = FORMATS[chart.unit];
    const order = chart.stacked ? [...chart.series.keys()].reverse() : [...chart.series.keys()];
    const lines = chart.stacked ? stacked(chart.series) : chart.series.map((one) => one.values);
    const last = chart.batches.at(-1);
    const first = Math.min(chart.batches[0], last - 11);
    const tip = document.createElement("div");
    tip.className = "tip";
    element.querySelector("svg")?.setAttribute("hidden", "");
    element.replaceChildren();
    const axis = { stroke: colour("muted"), font: "11px system-ui, sans-serif", ticks: { show: false } };
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height: 168,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { show: !chart.stacked } },
        padding: [8, 4, 0, 0],
        scales: {
          x: { time: false, range: [first - 0.6, last + 0.6] },
          y: chart.stacked ? { range: (_, low, high) => [0, (high || 1) * 1.08] } : {},
        },
        axes: [
          { ...axis, size: 24, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100, 1000], values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) && tick >= 0 ? `#${tick}` : "")) },
          { ...axis, size: chart.unit === "moment" ? 82 : 50, space: 34, grid: { stroke: colour("line"), width: 1 }, values: (_, ticks) => ticks.map(format) },
        ],
        series: [
          {},
          ...order.map((index) => {
            const tone = colour(chart.series[index].tone);
            return chart.stacked
              ? { fill: tone, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.75, 28] }) }
              : { stroke: tone, width: 2, points: { show: chart.batches.length < 30, size: 5, fill: tone } };
          }),
        ],
        hooks: {
          setCursor: [
            ({ cursor: { idx } }) => {
              tip.textContent = idx == null ? "" : `#${chart.batches[idx]}  ` + chart.series.filter((one) => one.values[idx]).map((one) => `${one.label} ${format(one.values[idx])}`).join(" · ");
            },
          ],
        },
      },
      [chart.batches, ...order.map((index) => lines[index])],
      element,
    );
    element.append(tip);
    drawn.set(element, { text, plot });
  };

  const redraw = (isAnew) => {
    for (const [element, { plot }] of drawn)
      if (isAnew || !element.isConnected) {
        plot.destroy();
        drawn.delete(element);
      }
    if (window.uPlot) for (const element of document.querySelectorAll(".chart")) draw(element);
  };

  const again = () => {
    ago();
    redraw(false);
  };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw(true));
  let resizing = 0;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => redraw(true), 150);
  });
  document.addEventListener("htmx:after:swap", () => setTimeout(again));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && isMissed) {
      isMissed = false;
      refresh();
    }
  });
  setInterval(ago, 1000);
  again();
  if (state) listen();
})();
