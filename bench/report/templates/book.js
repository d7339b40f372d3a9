document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
  if (link) link.click();
  if (event.key === "c") document.body.classList.toggle("bare");
  const times = {"+": 1.1, "=": 1.1, "-": 1 / 1.1}[event.key];
  if (times) {
    const root = document.documentElement, now = parseFloat(getComputedStyle(root).fontSize);
    root.style.fontSize = `${Math.min(48, Math.max(8, now * times))}px`;
  }
});
