// Draws Plotly figures that the server describes. An element with data-chart="URL" loads itself when it comes into view:
//   {"figure": {data, layout}, "queries": [query text per line], "step_s": seconds per bucket, "empty": sentence or "",
//    and optionally "labels": [name per line], "ends": [ms per line, where its times end], "over_time": bool, "unit"}
// Colours in a figure are CSS variables, "var(--error)" or "var(--error, 10%)" for a tenth of its opacity; they follow the theme.
// With data-traces="/traces" a click, or Enter, opens the traces behind a point: those of the step_s from its customdata (else its
// x) on, and before its line's end; with data-zoom a drag sets the page's time range. Around charts, data-markers="URL" names
// {"markers": [{version, at_ms}]} to mark on their time axes, data-refresh the seconds after which all are loaded again.
(function () {
  "use strict";

  const charts = new Map(); // element -> answer of the server
  const hidden = new WeakMap(); // element -> names of the lines that its legend has switched off
  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };

  let plotly = null;
  /** Fetch plotly.js when the first chart is about to be drawn: it is as large as all the rest together many times over. */
  function loadPlotly() {
    plotly ||= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = document.querySelector("meta[name=plotly]").content;
      script.addEventListener("load", resolve);
      script.addEventListener("error", () => reject(new Error("plotly.js could not be loaded")));
      document.head.append(script);
    });
    return plotly;
  }

  /** Resolve "var(--name)" and "var(--name, 10%)" in every string of a figure. */
  function themed(value, style) {
    if (typeof value === "string") {
      const match = /^var\((--[\w-]+)(?:, (\d+)%)?\)$/.exec(value);
      if (!match) return value;
      const color = style.getPropertyValue(match[1]).trim();
      return match[2] ? withOpacity(color, Number(match[2]) / 100) : color;
    }
    if (Array.isArray(value)) return value.map((item) => themed(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, themed(item, style)]));
    }
    return value;
  }

  function withOpacity(hex, opacity) {
    const parts = /^#(..)(..)(..)$/.exec(hex);
    return parts ? "rgba(" + parts.slice(1).map((part) => parseInt(part, 16)).join(",") + "," + opacity + ")" : hex;
  }

  /** The look that all charts share: one grid, one font, one hover box. */
  function baseLayout(element) {
    return {
      autosize: true,
      height: element.clientHeight || 200,
      margin: { l: 52, r: 8, t: 8, b: 38 },
      paper_bgcolor: "var(--surface)",
      plot_bgcolor: "var(--surface)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: "var(--text-muted)" },
      hovermode: "x unified",
      hoverdistance: 40,
      hoverlabel: { bgcolor: "var(--surface)", bordercolor: "var(--border-strong)", font: { color: "var(--text)", size: 12 }, namelength: 40 },
      dragmode: element.dataset.zoom !== undefined && matchMedia("(pointer: fine)").matches ? "zoom" : false,
      selectdirection: "h",
      bargap: 0,
      xaxis: {
        showgrid: false,
        zeroline: false,
        linecolor: "var(--border)",
        tickcolor: "var(--border)",
        ticks: "outside",
        ticklen: 4,
        nticks: Math.max(3, Math.floor(element.clientWidth / 90)),
        hoverformat: "%b %-d, %H:%M UTC",
        showspikes: true,
        spikemode: "across",
        spikethickness: 1,
        spikedash: "solid",
        spikecolor: "var(--border-strong)",
        tickformatstops: [
          { dtickrange: [null, 60000], value: "%H:%M:%S" },
          { dtickrange: [60000, 43200000], value: "%H:%M\n%b %-d" },
          { dtickrange: [43200000, null], value: "%b %-d" },
        ],
      },
      yaxis: { gridcolor: "var(--border)", zeroline: false, nticks: 5, fixedrange: true, ticklabelstandoff: 6 },
    };
  }

  function merged(base, over) {
    const result = { ...base };
    for (const [name, value] of Object.entries(over || {})) {
      const both = value && typeof value === "object" && !Array.isArray(value) && result[name] && typeof result[name] === "object";
      result[name] = both ? merged(result[name], value) : value;
    }
    return result;
  }

  /** Draw or redraw. A figure is the same for every theme and width; what depends on those is added here. */
  function draw(element) {
    const answer = charts.get(element);
    const style = getComputedStyle(document.documentElement);
    const off = hidden.get(element);
    const data = answer.figure.data.map((line, at) => (off?.has(labelOf(answer, at)) ? { ...line, visible: "legendonly" } : line));
    // First, for it takes a part of the height.
    if (answer.figure.layout.showlegend) drawLegend(element, themed(data, style));
    else legendOf(element)?.remove();
    const layout = merged(baseLayout(element), { ...answer.figure.layout, ...markerLayout(element), showlegend: false });
    const figure = themed({ data, layout }, style);
    return Plotly.react(element, figure.data, figure.layout, CONFIG);
  }

  function labelOf(answer, at) {
    return answer.labels ? answer.labels[at] : answer.figure.data[at].name;
  }

  const marked = new Map(); // element with data-markers -> its markers

  /** A thin line where each version was seen first, with its name above the plot; of two that stand close together the newer is named. */
  function markerLayout(element) {
    const answer = charts.get(element);
    const range = answer.figure.layout.xaxis?.range;
    const area = answer.over_time && range ? element.closest("[data-markers]") : null;
    if (!area) return {};
    const layout = { margin: { t: 18 } }; // room for names that come later
    const found = marked.get(area);
    if (!found) return layout;
    const inRange = found.filter((marker) => marker.at_ms >= range[0] && marker.at_ms <= range[1]);
    const width = Math.max(1, element.clientWidth - 60);
    const pixel = (marker) => ((marker.at_ms - range[0]) / (range[1] - range[0])) * width;
    const named = inRange.filter((marker, at) => {
      const next = inRange[at + 1];
      return !next || pixel(next) - pixel(marker) > 14 + 6 * Math.min(marker.version.length, 12);
    });
    return {
      ...layout,
      shapes: inRange.map((marker) => ({
        type: "line", xref: "x", yref: "paper", x0: marker.at_ms, x1: marker.at_ms, y0: 0, y1: 1, layer: "below",
        line: { color: "var(--border-strong)", width: 1, dash: "2px,2px" },
      })),
      annotations: named.map((marker) => {
        const atEnd = width - pixel(marker) < 12 + 6 * Math.min(marker.version.length, 12);
        return {
          text: asText(marker.version.length > 12 ? marker.version.slice(0, 11) + "…" : marker.version),
          x: marker.at_ms, xref: "x", xanchor: atEnd ? "right" : "left", y: 1, yref: "paper", yanchor: "bottom", showarrow: false,
          font: { size: 10, color: "var(--text-muted)" }, captureevents: false,
        };
      }),
    };
  }

  /** Plotly reads some HTML in texts; names are shown as they are. */
  function asText(text) {
    return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  }

  async function loadMarkers(area) {
    try {
      const response = await fetch(area.dataset.markers, { headers: { Accept: "application/json" }, credentials: "same-origin" });
      if (!response.ok) return; // charts are worth as much without
      marked.set(area, (await response.json()).markers);
      charts.forEach((_, element) => { if (area.contains(element)) draw(element); });
    } catch {
      // The charts say that the server cannot be reached.
    }
  }

  function legendOf(element) {
    return element.previousElementSibling?.matches(".legend") ? element.previousElementSibling : null;
  }

  /** Plotly's own legend lies in the plot and, with long names, takes most of it. This one stands above and wraps. */
  function drawLegend(element, lines) {
    const answer = charts.get(element);
    const legend = legendOf(element) || document.createElement("ul");
    if (!legend.isConnected) {
      legend.className = "legend";
      element.before(legend);
      legend.addEventListener("click", (event) => {
        const button = event.target.closest("[data-line]");
        if (button) toggle(element, button.dataset.line);
      });
    }
    const items = lines.flatMap((line, at) => {
      if (line.meta === "before") return []; // goes with the line that it precedes
      const label = labelOf(answer, at);
      const item = document.createElement("li");
      const button = document.createElement("button");
      const mark = document.createElement("span");
      const name = document.createElement("bdi");
      button.type = "button";
      button.className = "legend__line";
      button.dataset.line = label;
      button.title = label;
      button.setAttribute("aria-pressed", String(line.visible !== "legendonly"));
      mark.className = "legend__mark";
      mark.style.backgroundColor = line.marker.color;
      name.className = "truncate";
      name.textContent = label;
      button.append(mark, name);
      item.append(button);
      return [item];
    });
    const focused = legend.contains(document.activeElement) ? document.activeElement.dataset.line : undefined;
    legend.replaceChildren(...items);
    if (focused !== undefined) legend.querySelector(`[data-line="${CSS.escape(focused)}"]`)?.focus();
  }

  function toggle(element, name) {
    const off = hidden.get(element) || new Set();
    if (!off.delete(name)) off.add(name);
    hidden.set(element, off);
    keepHidden(element, name, off.has(name));
    draw(element);
  }

  // Lines that are switched off on a dashboard stand in its address, "off=panel-6:v2" for each.

  function keepHidden(element, name, isOff) {
    const panel = element.closest(".panel")?.getAttribute("aria-labelledby");
    if (!panel) return;
    const url = new URL(location.href);
    const all = new Set(url.searchParams.getAll("off"));
    if (isOff) all.add(panel + ":" + name);
    else all.delete(panel + ":" + name);
    url.searchParams.delete("off");
    all.forEach((one) => url.searchParams.append("off", one));
    history.replaceState(history.state, "", url);
  }

  function readHidden(element) {
    const panel = element.closest(".panel")?.getAttribute("aria-labelledby") + ":";
    const names = new URLSearchParams(location.search).getAll("off").filter((one) => one.startsWith(panel)).map((one) => one.slice(panel.length));
    if (names.length) hidden.set(element, new Set(names));
  }

  function say(element, sentence, kind) {
    const note = document.createElement("p");
    note.className = "chart__note" + (kind ? " chart__note--" + kind : "");
    note.textContent = sentence;
    legendOf(element)?.remove();
    if (charts.delete(element)) Plotly.purge(element);
    element.classList.remove("chart--clickable");
    element.removeAttribute("tabindex");
    element.replaceChildren(note);
    element.removeAttribute("aria-busy");
  }

  const onTheirWay = new Set(); // elements whose answer is awaited: of two the older might come last

  async function load(element) {
    if (onTheirWay.has(element)) return undefined;
    onTheirWay.add(element);
    element.setAttribute("aria-busy", "true");
    loadPlotly().catch(() => {}); // at the same time as the numbers; `show` waits for it
    let answer;
    try {
      const response = await fetch(element.dataset.chart, { headers: { Accept: "application/json" }, credentials: "same-origin" });
      const isJson = (response.headers.get("Content-Type") || "").includes("json");
      answer = isJson ? await response.json() : { error: { message: "The server answered " + response.status + "." } };
    } catch {
      answer = { error: { message: "The server cannot be reached." } };
    }
    onTheirWay.delete(element);
    if (!element.isConnected) return undefined;
    if (answer.error) return say(element, answer.error.message, "error");
    if (answer.empty) return say(element, answer.empty, "");
    return show(element, answer);
  }

  /** Draw an answer (see above) into an element; again with another answer replaces it. */
  async function show(element, answer) {
    try {
      await loadPlotly();
    } catch {
      return say(element, "The part that draws charts could not be loaded. Reload the page to try again.", "error");
    }
    if (!element.isConnected) return undefined;
    const first = !charts.has(element);
    charts.set(element, answer);
    if (first) {
      element.replaceChildren();
      readHidden(element);
    }
    await draw(element);
    element.removeAttribute("aria-busy");
    const unit = element.closest(".panel, .draft__preview")?.querySelector("[data-unit]");
    if (unit && answer.unit) unit.textContent = answer.unit;
    if (first) listen(element);
    return undefined;
  }

  function listen(element) {
    if (element.dataset.traces) {
      element.classList.add("chart--clickable");
      element.tabIndex = 0;
      element.on("plotly_click", (event) => {
        const point = nearest(element, event);
        if (point) location.assign(tracesHref(element, point.curveNumber, point.pointNumber));
      });
    }
    if (element.dataset.zoom !== undefined) {
      element.on("plotly_relayout", (change) => {
        const [first, last] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
        if (first !== undefined && last !== undefined) zoomTo(utcMs(first), utcMs(last));
      });
    }
  }

  // Keys of a chart that has the focus: left and right walk along a line, up and down change it, Enter opens the traces.
  const cursors = new WeakMap(); // element -> [curve, point]

  function walk(element, key) {
    const { figure, over_time: overTime } = charts.get(element);
    const shown = figure.data.map((_, at) => at).filter((at) => !hidden.get(element)?.has(labelOf(charts.get(element), at)));
    if (!shown.length) return;
    const values = (curve) => (overTime ? figure.data[curve].y : figure.data[curve].x);
    let [curve, point] = cursors.get(element) || [shown[0], -1];
    const along = overTime ? { ArrowLeft: -1, ArrowRight: 1 }[key] : 0;
    if (along) {
      if (point < 0) point = along > 0 ? -1 : values(curve).length;
      do point += along; while (values(curve)[point] === null);
      if (values(curve)[point] === undefined) return;
    } else {
      const step = key === "ArrowUp" || key === "ArrowLeft" ? -1 : 1;
      curve = point < 0 && !overTime ? shown[0] : shown[Math.min(shown.length - 1, Math.max(0, shown.indexOf(curve) + step))];
      point = Math.max(0, Math.min(point, values(curve).length - 1));
    }
    cursors.set(element, [curve, point]);
    if (overTime) Plotly.Fx.hover(element, [{ curveNumber: curve, pointNumber: point }]);
    else Plotly.Fx.hover(element, [{ curveNumber: curve, pointNumber: 0 }]);
    announce(element, curve, point);
  }

  /** Say what stands at the cursor: its hover box is a drawing. */
  function announce(element, curve, point) {
    let voice = element.parentElement.querySelector("[data-voice]");
    if (!voice) {
      voice = document.createElement("p");
      voice.className = "visually-hidden";
      voice.dataset.voice = "";
      voice.setAttribute("aria-live", "polite");
      element.after(voice);
    }
    const answer = charts.get(element);
    const line = answer.figure.data[curve];
    const axis = element._fullLayout[answer.over_time ? "yaxis" : "xaxis"];
    const value = (answer.over_time ? line.y : line.x)[point];
    const when = answer.over_time ? new Date(line.x[point]).toISOString().slice(0, 16).replace("T", " ") + " UTC, " : "";
    const before = line.meta === "before" ? ", the period before" : "";
    const shown = value === null ? "no value" : (axis.tickprefix || "") + Number(value.toPrecision(4)) + " " + (answer.unit || "");
    voice.textContent = when + labelOf(answer, curve) + before + ": " + shown.trim();
  }

  document.addEventListener("keydown", (event) => {
    const element = event.target;
    if (!(element instanceof Element) || !charts.has(element) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].includes(event.key)) walk(element, event.key);
    else if (event.key === "Enter" && cursors.has(element)) location.assign(tracesHref(element, ...cursors.get(element)));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }, true);

  /** Of all lines under the pointer, the one that the pointer is nearest to (or the bar that it is in). */
  function nearest(element, event) {
    const isBar = event.points[0].data.type === "bar";
    const points = event.points.filter((point) => (isBar ? point.y > 0 : point.y !== null && point.y !== undefined));
    if (points.length < 2) return points[0];
    const axis = points[0].yaxis;
    const box = element.querySelector(".nsewdrag").getBoundingClientRect();
    const pointed = axis.p2d(event.event.clientY - box.top);
    if (!isBar) return points.reduce((best, point) => (Math.abs(point.y - pointed) < Math.abs(best.y - pointed) ? point : best));
    let top = 0;
    const inStack = [...points].sort((one, other) => one.curveNumber - other.curveNumber);
    return inStack.find((point) => (top += point.y) >= pointed) || inStack[inStack.length - 1];
  }

  function utcMs(value) {
    return typeof value === "number" ? value : Date.parse(String(value).replace(" ", "T") + (String(value).length > 10 ? "Z" : ""));
  }

  function tracesHref(element, curve, point) {
    const answer = charts.get(element);
    const line = answer.figure.data[curve];
    const start = (line.customdata || line.x)[point];
    const end = Math.min(start + answer.step_s * 1000, answer.ends?.[curve] || Infinity);
    const parameters = new URLSearchParams({ q: answer.queries[curve] || "" });
    parameters.set("start", new Date(start).toISOString());
    parameters.set("end", new Date(end).toISOString());
    if (!parameters.get("q")) parameters.delete("q");
    return element.dataset.traces + "?" + parameters;
  }

  function zoomTo(first, last) {
    const url = new URL(location.href);
    url.searchParams.set("start", new Date(first).toISOString());
    url.searchParams.set("end", new Date(last).toISOString());
    location.assign(url);
  }

  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((one) => one.isIntersecting)) {
        observer.unobserve(entry.target);
        load(entry.target);
      }
    },
    { rootMargin: "200px" },
  );
  function watch(root) {
    root.querySelectorAll("[data-chart]").forEach((element) => observer.observe(element));
  }

  document.querySelectorAll("[data-submit-on-change]").forEach((form) => {
    form.addEventListener("change", () => form.requestSubmit());
    // What is not chosen stands in no address.
    form.addEventListener("formdata", (event) => {
      for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name);
      new URLSearchParams(location.search).getAll("off").forEach((one) => event.formData.append("off", one));
    });
    // Chosen before this file was here.
    const sent = (select) => Math.max(0, [...select.options].findIndex((option) => option.defaultSelected));
    if ([...form.querySelectorAll("select")].some((select) => select.selectedIndex !== sent(select))) form.requestSubmit();
  });

  /** Load everything again every `data-refresh` seconds: what is in view now, the rest when it comes into view. */
  function keepFresh(area) {
    const everyMs = Number(area.dataset.refresh) * 1000;
    const said = document.querySelector("[data-updated]");
    let last = Date.now();
    const stamp = () => { if (said) said.textContent = "Updated " + new Date(last).toISOString().slice(11, 19) + " UTC"; };
    const refresh = () => {
      // Nobody looks: wait until somebody does.
      if (document.hidden || Date.now() - last < everyMs) return;
      last = Date.now();
      stamp();
      watch(area);
      if (area.dataset.markers) loadMarkers(area);
      document.querySelectorAll(".tiles, .panel__table").forEach((element) => htmx.trigger(element, "refresh"));
    };
    stamp();
    setInterval(refresh, 1000);
    document.addEventListener("visibilitychange", refresh);
  }

  watch(document);
  document.addEventListener("htmx:afterSwap", (event) => {
    // What was drawn in a place that is gone.
    for (const element of [...charts.keys()]) if (!element.isConnected) charts.delete(element);
    watch(event.detail.elt);
  });
  document.querySelectorAll("[data-markers]").forEach(loadMarkers);
  document.querySelectorAll("[data-refresh]:not([data-refresh='0'])").forEach(keepFresh);

  const redraw = () => charts.forEach((_, element) => draw(element));
  document.addEventListener("themechange", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  window.tracestore.charts = { load, show };
})();
