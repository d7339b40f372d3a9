
// What a link or the address names is opened; on paper everything is.
function reveal() {
  const target = location.hash && document.querySelector(location.hash);
  if (target && target.tagName === "DETAILS") target.open = true;
}
addEventListener("hashchange", reveal);
addEventListener("beforeprint", () => document.querySelectorAll("details")
  .forEach(part => part.open = true));
reveal();
