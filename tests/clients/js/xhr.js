// The part of XMLHttpRequest that autobahn's long-poll transport uses, which Node does not have.
'use strict';

module.exports = class XMLHttpRequest {
  readyState = 0;
  status = 0;
  statusText = '';
  responseText = '';
  timeout = 0;
  headers = {};

  open(method, url) {
    this.method = method;
    this.url = url;
  }

  setRequestHeader(name, value) {
    this.headers[name] = value;
  }

  async send(body) {
    const timer = new AbortController();
    const late = this.timeout > 0 && setTimeout(() => timer.abort('late'), this.timeout);
    try {
      const {method, headers, url} = this;
      const response = await fetch(url, {method, headers, body: body ?? '', signal: timer.signal});
      this.responseText = await response.text();
      this.status = response.status;
      this.statusText = response.statusText;
    } catch (error) {
      if (timer.signal.aborted) return this.ontimeout?.();
      this.statusText = String(error.cause ?? error);
    } finally {
      clearTimeout(late);
    }
    this.readyState = 4;
    this.onreadystatechange();
  }
};
