document.addEventListener("keydown", event => {
  const link = document.querySelector(`nav a[data-key="${event.key}"]`);
  if (link && !event.ctrlKey && !event.metaKey && !event.altKey) link.click();
});
