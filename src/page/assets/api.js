// The requests of the page, one function a route. Shapes are in scripts/page/types.d.ts.
// No state but who listens for a 401. Invariant: what changes something carries the header that no form of another site can send.

/** A request that did not do what was asked; the message says what to do. */
export class ApiError extends Error {
  /** @param {number} status  0 where there was no answer @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const NO_ANSWER = "candist does not answer. See whether it still runs; if not, start it again: candist serve RUN.";
export const NO_TOKEN = "Open the address that candist printed, with its token.";

/** @type {() => void} */
let refused = () => {};

/** @param {() => void} listener  called when the server wants a token */
export function onRefused(listener) {
  refused = listener;
}

/** @param {unknown} error */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** What to show of anything thrown. @param {unknown} error */
export function reason(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>}
 */
async function request(path, init = {}) {
  const response = await fetch(path, { headers: { accept: "application/json" }, ...init }).catch((error) => {
    throw isAbort(error) ? error : new ApiError(0, NO_ANSWER);
  });
  if (response.status === 401) {
    refused();
    throw new ApiError(401, NO_TOKEN);
  }
  // A cut answer and one that is no JSON are alike to a reader; an abort is not.
  const body = await response.json().catch((error) => {
    if (isAbort(error)) throw error;
    return null;
  });
  if (!response.ok) throw new ApiError(response.status, body?.error ?? `candist answered with status ${response.status}.`);
  if (body === null) throw new ApiError(response.status, "The answer was cut off. Try again.");
  return body;
}

/** @param {string} method @param {string} path @param {unknown} [body] */
function change(method, path, body) {
  const headers = { accept: "application/json", "content-type": "application/json", "X-Candist": "1" };
  return request(path, { method, headers, body: body === undefined ? null : JSON.stringify(body) });
}

/** @returns {Promise<RunInfo>} */
export function getRun() {
  return request("/api/v1/run");
}

/** @returns {Promise<StatusAnswer>} */
export function getStatus() {
  return request("/api/v1/status");
}

/** @param {AbortSignal} [signal] @returns {Promise<Overview>} */
export function getOverview(signal) {
  return request("/api/v1/overview", signal ? { signal } : {});
}

/** @param {URLSearchParams} query @param {AbortSignal} signal @returns {Promise<RowPage>} */
export function getRows(query, signal) {
  return request(`/api/v1/labels?${query}`, { signal });
}

/** @param {number} position @param {AbortSignal} [signal] @returns {Promise<Detail>} */
export function getRow(position, signal) {
  return request(`/api/v1/labels/${position}`, signal ? { signal } : {});
}

/** @param {URLSearchParams} query @param {AbortSignal} signal @returns {Promise<ReviewPage>} */
export function getReview(query, signal) {
  return request(`/api/v1/review?${query}`, { signal });
}

/** @param {number} looked @param {number} changed @param {AbortSignal} signal @returns {Promise<Estimates>} */
export function getEstimates(looked, changed, signal) {
  return request(`/api/v1/estimates?looked=${looked}&changed=${changed}`, { signal });
}

/**
 * @param {{ position: number, id: string, text_hash: string, label: string, who: string, note: string | null }} correction
 * @returns {Promise<{ position: number, label: string }>}  once it is on disk
 */
export function postCorrection(correction) {
  return change("POST", "/api/v1/corrections", correction);
}

/** @param {URLSearchParams} query  epsilon, delta, figures @param {AbortSignal} [signal] @returns {Promise<AuditNow>} */
export function getAudit(query, signal) {
  return request(`/api/v1/audit?${query}`, signal ? { signal } : {});
}

/** @param {URLSearchParams} query @param {AbortSignal} signal @returns {Promise<AuditQueuePage>} */
export function getAuditNext(query, signal) {
  return request(`/api/v1/audit/next?${query}`, { signal });
}

/** A text of the sample, all of it. @param {number} position @returns {Promise<ToAudit>} */
export function getAuditText(position) {
  return request(`/api/v1/audit/texts/${position}`);
}

/** @param {{ n: number, who: string, anew?: boolean }} draw  anew: in the place of one that goes on @returns {Promise<AuditNow>} */
export function postDraw(draw) {
  return change("POST", "/api/v1/audit/draw", draw);
}

/** @param {{ n: number, who: string }} draw  n is the size of the whole sample @returns {Promise<AuditNow>} */
export function postMore(draw) {
  return change("POST", "/api/v1/audit/more", draw);
}

/**
 * @param {{ position: number, id: string, text_hash: string, label: string, who: string, note: string | null }} label
 * @returns {Promise<{ position: number, label: string }>}  once it is on disk
 */
export function postAuditLabel(label) {
  return change("POST", "/api/v1/audit/labels", label);
}

/** @param {{ position: number, id: string, text_hash: string }} row @param {string} who @returns {Promise<{ position: number, label: null }>} */
export function deleteAuditLabel({ position, id, text_hash }, who) {
  return change("DELETE", `/api/v1/audit/labels/${position}?${new URLSearchParams({ id, text_hash, who })}`);
}

/** @param {{ epsilon: number, delta: number, who: string }} end @returns {Promise<AuditNow>} */
export function postAuditEnd(end) {
  return change("POST", "/api/v1/audit/end", end);
}

/** @param {{ who: string }} taking @returns {Promise<{ labels: number }>} */
export function postAuditCorrections(taking) {
  return change("POST", "/api/v1/audit/corrections", taking);
}

/**
 * Takes `label` back; where somebody has given the text another since, that one stands.
 * @param {{ position: number, id: string, text_hash: string }} row @param {string} label @param {string} who
 * @returns {Promise<{ position: number, label: null }>}
 */
export function deleteCorrection({ position, id, text_hash }, label, who) {
  return change("DELETE", `/api/v1/corrections/${position}?${new URLSearchParams({ id, text_hash, label, who })}`);
}
