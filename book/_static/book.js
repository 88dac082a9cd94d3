// The theme makes boxes that scroll reachable by keyboard when the page loads; a fold that opens shows new ones.
document.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")), true);
