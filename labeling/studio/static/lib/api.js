// Requests to the API. Addresses are relative: the page's own address holds the key.

/** A reply that is not 2xx; `status` and `body` are the server's, the message is its one line. */
export class ApiError extends Error {
  constructor(status, body) {
    super(body.detail ?? `the server answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

const KEPT_ALIVE = 30_000; // characters; a change of this size is still saved when the page is closed (fetch: 64 KiB together)

async function request(method, path, body, signal) {
  const options = {method, signal};
  if (method !== 'GET') {
    options.body = body === undefined ? '' : JSON.stringify(body);
    if (body !== undefined) options.headers = {'Content-Type': 'application/json'};
    options.keepalive = method === 'PUT' && options.body.length < KEPT_ALIVE;
  }
  let reply;
  try {
    reply = await fetch(`api/${path}`, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, {detail: 'the server does not answer; is `edgeloop studio` still running?'});
  }
  const said = reply.headers.get('Content-Type')?.includes('json') ? await reply.json() : {detail: (await reply.text()).trim()};
  if (!reply.ok) throw new ApiError(reply.status, said);
  return said;
}

export const get = (path, signal) => request('GET', path, undefined, signal);
export const post = (path, body, signal) => request('POST', path, body, signal);
export const put = (path, body, signal) => request('PUT', path, body, signal);
