// What scrolls is reachable by keyboard. The theme sees to tables and code when the page loads; here are formulas, and
// what a fold shows when it opens.
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  const reach = () => {
    for (const box of document.querySelectorAll("div.math, mjx-container[display]"))
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  };
  addEventListener("resize", reach);
  reach();
});
document.addEventListener("toggle", () => dispatchEvent(new Event("resize")), true);
