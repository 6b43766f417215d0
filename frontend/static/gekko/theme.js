// Before the first paint: the theme that was chosen here, else dark.
(function () {
  var kept = null;
  try {
    kept = localStorage.getItem("gekko-theme");
  } catch (error) {
    kept = null;
  }
  document.documentElement.dataset.theme = kept === "light" ? "light" : "dark";
})();
