// Before the first paint: the theme that was chosen here, else the system's.
(function () {
  var kept = null;
  try {
    kept = localStorage.getItem("gekko-theme");
  } catch (error) {
    kept = null;
  }
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
})();
