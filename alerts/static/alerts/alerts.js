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

  // The unit beside the threshold follows the metric.
  function followMetric(form) {
    const units = JSON.parse(document.getElementById("rule-units").textContent);
    const update = () => {
      form.querySelector("[data-unit-of-threshold]").textContent = units[form.elements.metric.value] || "";
      const help = form.elements.metric.selectedOptions[0].dataset.help;
      form.querySelector("[data-metric-help]").textContent = help || "";
    };
    form.elements.metric.addEventListener("change", update);
    update();
  }

  const form = document.getElementById("rule-form");
  if (form) followMetric(form);
  document.addEventListener("htmx:afterSwap", draw);
  draw();
})();
