// One place that sees every request of Dash: an ended session, a refusal or a fault becomes visible, then Dash starts.
(function () {
  var original = window.fetch;
  window.fetch = function (target, options) {
    return original(target, options).then(function (response) {
      var address = String(target && target.url ? target.url : target);
      if (address.indexOf("_dash-") >= 0 && !response.ok && response.status !== 304) {
        window.dispatchEvent(new CustomEvent("gekko:refused", { detail: { status: response.status } }));
      }
      return response;
    });
  };
  window.gekkoRenderer = new window.DashRenderer();
})();
