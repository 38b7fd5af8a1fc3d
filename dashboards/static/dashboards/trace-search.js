// Search among the steps of a trace: names at once, payloads and log records by the server.
(function () {
  "use strict";

  const T = window.tracestore.trace;
  const { page, placeOf, idOf, has, step, count } = T;
  const search = document.getElementById("trace-search");
  const hits = document.getElementById("trace-hits");
  let matches = []; // places of steps, in order
  let searching = ""; // what the number of hits is followed by: more may come, or be there
  let searchTimer = 0;
  let searchRequest = null;

  function find() {
    const { tree } = T;
    const wanted = search.value.trim().toLowerCase();
    clearTimeout(searchTimer);
    if (searchRequest) searchRequest.abort();
    matches = [];
    searching = "";
    if (wanted && tree) {
      const texts = tree.strings.map((text) => text.toLowerCase().includes(wanted));
      for (let index = 0; index < tree.size; index += 1) {
        if (texts[tree.name[index]] || texts[tree.subject[index]] || texts[tree.errorType[index]]) matches.push(index);
      }
      if (placeOf(wanted) >= 0) matches.push(placeOf(wanted));
      if (wanted.length > 1) {
        searching = "…";
        searchTimer = setTimeout(() => findInPayloads(wanted), 250);
      }
    }
    showMatches();
  }

  async function findInPayloads(wanted) {
    searchRequest = new AbortController();
    try {
      const answer = await fetch(page.dataset.url + "/search?q=" + encodeURIComponent(wanted), { signal: searchRequest.signal });
      if (!answer.ok) throw new Error(await answer.text());
      const found = await answer.json();
      const ids = new Set(found.spans);
      const names = new Set(matches);
      matches = [...T.tree.parent.keys()].filter((index) => names.has(index) || (ids.has(idOf(index)) && !has(index, "placeholder")));
      searching = found.more ? "+" : "";
    } catch (error) {
      if (error.name === "AbortError") return;
      searching = "";
      window.tracestore.show("Only names were searched. " + error.message, "error");
    }
    showMatches();
  }

  function showMatches() {
    T.matching = new Set(matches);
    describeHits();
    if (T.tree) T.tell("change");
  }

  function describeHits() {
    const place = matches.indexOf(T.selected);
    const words = matches.length ? (place >= 0 ? place + 1 + "/" : "") + count(matches.length) + searching : searching || "none";
    hits.textContent = search.value.trim() ? words : "";
  }

  search.addEventListener("input", find);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      step(matches, event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      search.value = "";
      find();
    }
  });

  T.add({
    select: describeHits,
    ready() { if (search.value) find(); },
    escape() {
      if (!search.value) return;
      search.value = "";
      find();
    },
  });
})();
