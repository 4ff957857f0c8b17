"use strict";
// Draws the charts of the page, in the colours of its paper: light, dark, or what a printer has.
(() => {
  const TONES = __TONES__; // colour on light paper -> on dark paper
  const PAPER_PX = { wide: 670, narrow: 320 };
  const PAPER_SCALE = 0.75; // of a chart's height: as flat as on a screen
  const TICK_PX = 62;
  const CONFIG = { displayModeBar: false, responsive: true, scrollZoom: false, showTips: false };
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const figures = JSON.parse(document.getElementById("charts").textContent);
  const charts = [...document.querySelectorAll("[data-chart]")];
  let printing = false;

  const isDark = () =>
    !printing && (root.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";

  const toned = (value, dark) => {
    if (typeof value === "string") return (dark && TONES[value]) || value;
    if (Array.isArray(value)) return value.map((each) => toned(each, dark));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, toned(v, dark)]));
    return value;
  };

  const draw = (chart) => {
    const { data, layout } = toned(figures[chart.dataset.chart], isDark());
    const height = figures[chart.dataset.chart].height;
    layout.height = printing ? Math.round(height * PAPER_SCALE) : height;
    chart.style.height = `${layout.height}px`;
    if (printing) layout.width = chart.closest(".wide") ? PAPER_PX.wide : PAPER_PX.narrow;
    layout.autosize = !printing;
    const wide = layout.width || chart.clientWidth;
    if (layout.xaxis.nticks)
      layout.xaxis.nticks = Math.max(3, Math.min(layout.xaxis.nticks, Math.floor(wide / TICK_PX)));
    return Plotly.react(chart, data, layout, CONFIG);
  };
  const drawn = () => charts.filter((chart) => chart.classList.contains("js-plotly-plot"));

  const rest = (after) => {
    const next = charts.find((chart) => !chart.classList.contains("js-plotly-plot"));
    if (!next) return after();
    draw(next);
    setTimeout(() => rest(after), 0);
  };

  const retone = () => {
    button.setAttribute("aria-pressed", String(isDark()));
    drawn().forEach(draw);
  };

  try {
    const kept = localStorage.getItem("populace-theme");
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch { /* a page from a file may have no storage */ }
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("populace-theme", root.dataset.theme); } catch { /* as above */ }
    retone();
  });
  prefersDark.addEventListener("change", retone);
  addEventListener("beforeprint", () => { printing = true; charts.forEach(draw); });
  addEventListener("afterprint", () => { printing = false; charts.forEach(draw); });

  const links = new Map(
    [...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]),
  );
  const watch = new IntersectionObserver(
    (seen) => {
      for (const { isIntersecting, target } of seen) {
        const link = links.get(target.id);
        if (isIntersecting) link?.setAttribute("aria-current", "true");
        else link?.removeAttribute("aria-current");
      }
    },
    { rootMargin: "-20% 0px -75% 0px" },
  );
  document.querySelectorAll("section").forEach((section) => watch.observe(section));

  button.setAttribute("aria-pressed", String(isDark()));
  rest(() => { root.dataset.drawn = "true"; });
})();
