// Before the first paint, so that nobody sees the other theme flash by. A file of its own: the content
// security policy allows no inline scripts.
try {
  const chosen = localStorage.getItem("holdfast.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // No storage in this browser: the system's choice it is.
}
