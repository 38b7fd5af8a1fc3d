// Draws Plotly figures that the server describes. An element with data-chart="URL" loads itself when it comes into view:
//   {"figure": {data, layout}, "queries": [query text per line], "step_s": seconds per bucket, "empty": bool}
// Colours in a figure are CSS variables, "var(--error)" or "var(--error, 10%)" for a tenth of its opacity; they follow the theme.
// With data-traces="/traces" a click opens the traces behind a point, those of the step_s from its customdata (else its x) on;
// with data-zoom a drag sets the page's time range.
(function () {
  "use strict";

  const charts = new Map(); // element -> answer of the server
  const hidden = new WeakMap(); // element -> names of the lines that its legend has switched off
  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };

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
    const layout = merged(baseLayout(element), { ...answer.figure.layout, showlegend: false });
    const off = hidden.get(element);
    const data = answer.figure.data.map((line) => (off?.has(line.name) ? { ...line, visible: "legendonly" } : line));
    const figure = themed({ data, layout }, style);
    if (answer.figure.layout.showlegend) drawLegend(element, figure.data);
    return Plotly.react(element, figure.data, figure.layout, CONFIG);
  }

  /** Plotly's own legend lies in the plot and, with long names, takes most of it. This one stands above and wraps. */
  function drawLegend(element, lines) {
    const legend = element.previousElementSibling?.matches(".legend") ? element.previousElementSibling : document.createElement("ul");
    if (!legend.isConnected) {
      legend.className = "legend";
      element.before(legend);
      legend.addEventListener("click", (event) => {
        const button = event.target.closest("[data-line]");
        if (button) toggle(element, button.dataset.line);
      });
    }
    const items = lines.map((line) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      const mark = document.createElement("span");
      const name = document.createElement("bdi");
      button.type = "button";
      button.className = "legend__line";
      button.dataset.line = line.name;
      button.title = line.name;
      button.setAttribute("aria-pressed", String(line.visible !== "legendonly"));
      mark.className = "legend__mark";
      mark.style.backgroundColor = line.marker.color;
      name.className = "truncate";
      name.textContent = line.name;
      button.append(mark, name);
      item.append(button);
      return item;
    });
    const focused = legend.contains(document.activeElement) ? document.activeElement.dataset.line : undefined;
    legend.replaceChildren(...items);
    if (focused !== undefined) legend.querySelector(`[data-line="${CSS.escape(focused)}"]`)?.focus();
  }

  function toggle(element, name) {
    const off = hidden.get(element) || new Set();
    if (!off.delete(name)) off.add(name);
    hidden.set(element, off);
    draw(element);
  }

  function say(element, sentence, kind) {
    const note = document.createElement("p");
    note.className = "chart__note" + (kind ? " chart__note--" + kind : "");
    note.textContent = sentence;
    element.replaceChildren(note);
    element.removeAttribute("aria-busy");
  }

  async function load(element) {
    element.setAttribute("aria-busy", "true");
    let answer;
    try {
      const response = await fetch(element.dataset.chart, { headers: { Accept: "application/json" }, credentials: "same-origin" });
      const isJson = (response.headers.get("Content-Type") || "").includes("json");
      answer = isJson ? await response.json() : { error: { message: "The server answered " + response.status + "." } };
    } catch {
      answer = { error: { message: "The server cannot be reached." } };
    }
    if (answer.error) return say(element, answer.error.message, "error");
    if (answer.empty && element.dataset.empty) return say(element, element.dataset.empty, "");
    return show(element, answer);
  }

  /** Draw an answer (see above) into an element; again with another answer replaces it. */
  async function show(element, answer) {
    const first = !charts.has(element);
    charts.set(element, answer);
    if (first) element.replaceChildren();
    await draw(element);
    element.removeAttribute("aria-busy");
    const unit = element.closest(".chart-card")?.querySelector("[data-unit]");
    if (unit && answer.unit) unit.textContent = answer.unit;
    if (first) listen(element);
  }

  function listen(element) {
    if (element.dataset.traces) {
      element.classList.add("chart--clickable");
      element.on("plotly_click", (event) => {
        const point = nearest(element, event);
        if (point) location.assign(tracesHref(element, point));
      });
    }
    if (element.dataset.zoom !== undefined) {
      element.on("plotly_relayout", (change) => {
        const [first, last] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
        if (first !== undefined && last !== undefined) zoomTo(utcMs(first), utcMs(last));
      });
    }
  }

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

  function tracesHref(element, point) {
    const answer = charts.get(element);
    const line = answer.figure.data[point.curveNumber];
    const start = (line.customdata || line.x)[point.pointNumber];
    const parameters = new URLSearchParams({ q: answer.queries[point.curveNumber] || "" });
    parameters.set("start", new Date(start).toISOString());
    parameters.set("end", new Date(start + answer.step_s * 1000).toISOString());
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
  document.querySelectorAll("[data-chart]").forEach((element) => observer.observe(element));

  document.querySelectorAll("[data-submit-on-change]").forEach((form) => form.addEventListener("change", () => form.requestSubmit()));

  const redraw = () => charts.forEach((_, element) => draw(element));
  document.addEventListener("themechange", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  window.tracestore.charts = { load, show };
})();
