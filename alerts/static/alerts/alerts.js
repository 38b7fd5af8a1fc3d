// Charts of rules and alerts, and the rule editor. A [data-rule-chart] element draws the JSON of the element whose id it names.
(function () {
  "use strict";

  function draw() {
    document.querySelectorAll("[data-rule-chart]").forEach((element) => {
      const source = document.getElementById(element.dataset.ruleChart);
      element.hidden = !source;
      if (source && source.textContent !== element.drawn) {
        element.drawn = source.textContent;
        window.tracestore.charts.show(element, JSON.parse(source.textContent));
      }
    });
  }

  // What is shown follows the kind of rule, the metrics offered too; the unit beside the threshold follows both.
  function followKind(form) {
    const units = JSON.parse(document.getElementById("rule-units").textContent);
    const watchable = JSON.parse(document.getElementById("rule-watchable").textContent);
    const { kind, metric } = form.elements;
    const update = () => {
      const allowed = new Set(watchable[kind.value]);
      for (const option of metric.options) option.hidden = option.disabled = !allowed.has(option.value);
      for (const group of metric.querySelectorAll("optgroup")) group.hidden = !group.querySelector("option:not([hidden])");
      if (!allowed.has(metric.value)) metric.value = watchable[kind.value][0];
      for (const part of form.querySelectorAll("[data-kinds]")) part.hidden = !part.dataset.kinds.split(" ").includes(kind.value);
      const relative = kind.value === "baseline" || kind.value === "version";
      form.querySelector("[data-unit-of-threshold]").textContent = relative ? "%" : units[metric.value] || "";
      form.querySelector("[data-metric-help]").textContent = metric.selectedOptions[0].dataset.help || "";
    };
    kind.addEventListener("change", update);
    metric.addEventListener("change", update);
    update();
  }

  const form = document.getElementById("rule-form");
  if (form) followKind(form);
  document.addEventListener("htmx:afterSwap", draw);
  draw();
})();
