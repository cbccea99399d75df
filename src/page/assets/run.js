// What this run is about, as /api/v1/run says: asked once at the start, read everywhere. No requests here.

/** @type {{ info: RunInfo | null }} */
export const run = { info: null };

/** Names of the task's labels. */
export function labelNames() {
  return run.info?.labels.map((label) => label.name) ?? [];
}

/** What a label means, where the task says so. @param {string} name */
export function meaning(name) {
  return run.info?.labels.find((label) => label.name === name)?.description ?? null;
}
