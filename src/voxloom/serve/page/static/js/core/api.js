// The own API of `voxloom serve`. One place knows addresses, headers and the shape of errors.

import { say } from "./dom.js";

export class Refused extends Error {
  constructor(status, error) {
    super([error?.what, error?.fix].filter(Boolean).join(". ") || `The server answered ${status}`);
    this.status = status;
  }
}

/** The name under which this browser annotates; the server overrules it where people log in. */
export const author = {
  get: () => localStorage.getItem("voxloom.author") || "",
  set: (name) => localStorage.setItem("voxloom.author", name.trim()),
};

async function refused(response) {
  const content = await response.json().catch(() => ({}));
  if (response.status === 401) window.dispatchEvent(new Event("login-needed"));
  return new Refused(response.status, content.error);
}

async function ask(path, { method = "GET", body, query = {}, type } = {}) {
  const given = Object.entries(query).filter(([, v]) => v !== undefined && v !== null && v !== "");
  const address = `/api/${path}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
  const headers = method === "GET" ? {} : { "X-Voxloom": "1" };
  if (type) headers["Content-Type"] = type;
  const response = await fetch(address, { method, body, headers, credentials: "same-origin" });
  if (!response.ok) throw await refused(response);
  return response;
}

const json = async (...given) => (await ask(...given)).json();
const post = (path, content, query) =>
  json(path, { method: "POST", body: JSON.stringify(content ?? {}), type: "application/json", query });
const at = (id) => `cases/${encodeURIComponent(id)}`;

export const api = {
  info: () => json("info"),
  login: (token) => post("login", { token }),
  runs: () => json("runs"),
  recipes: () => json("recipes"),
  cases: () => json("cases"),
  case: (id) => json(at(id)),
  upload(files) {
    const form = new FormData();
    for (const file of files) form.append("file", file);
    return json("cases", { method: "POST", body: form });
  },
  thumbnail: (id) => `/api/${at(id)}/thumbnail.png`,
  image: (id, channel) => ask(`${at(id)}/image.nii.gz`, { query: { channel } }),
  truth: (id) => ask(`${at(id)}/truth.nii.gz`),
  truthPoints: (id) => json(`${at(id)}/truth.mrk.json`),
  prediction: (id, run) => ask(`${at(id)}/predictions/${encodeURIComponent(run)}.nii.gz`),
  predictionMap: (id, run, kind, answer) =>
    ask(`${at(id)}/predictions/${encodeURIComponent(run)}/${kind}.nii.gz`, { query: { answer } }),
  predictionPoints: (id, run) => json(`${at(id)}/predictions/${encodeURIComponent(run)}.mrk.json`),
  answer: (id, run) => json(`${at(id)}/answer/${encodeURIComponent(run)}`),
  annotations: (id, all) => json(`${at(id)}/annotations`, { query: { author: author.get(), all: all ? "true" : "" } }),
  annotation: (id, version) => ask(`${at(id)}/annotations/${version}.nii.gz`),
  annotationPoints: (id, version) => json(`${at(id)}/annotations/${version}.mrk.json`),
  /** Address of a version in another format: nifti, seg, csv or mrk.json. */
  exported: (id, version, as) => `/api/${at(id)}/annotations/${version}?${new URLSearchParams({ as })}`,
  save: (id, bytes, query) => json(`${at(id)}/annotations`,
    { method: "POST", body: bytes, type: "application/gzip", query: { author: author.get(), ...query } }),
  savePoints: (id, markups, query) => post(`${at(id)}/annotations`, markups, { author: author.get(), ...query }),
  predict: (order) => post("predict", order),
  explain: (order) => post("explain", order),
  train: (order) => post("train", order),
  rank: (run) => post("rank", { run }),
  jobs: () => json("jobs"),
  job: (id) => json(`jobs/${id}`),
  log: (id) => json(`jobs/${id}/log`),
  cancel: (id) => json(`jobs/${id}`, { method: "DELETE" }),
  stop: (id) => post(`jobs/${id}/stop`),
  resume: (id) => post(`jobs/${id}/resume`),
  next: (run, strategy, again) => json("next", { query: { run, strategy, again: again ? "true" : "", author: author.get() } }),
  progress: () => json("progress"),
  compare: (id, a, b) => json("compare", { query: { case: id, a, b } }),
  raters: () => json("raters"),
  report: (run) => `/api/reports/${encodeURIComponent(run)}/`,
};

/** The answer, or null where the server has no such thing (404). */
export async function maybe(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

/** Run something a person asked for; what goes wrong is said in the status line. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    say(error.message, true);
    if (!(error instanceof Refused)) console.error(error);
    return undefined;
  }
}

const ENDED = ["done", "failed", "cancelled"];

/** Wait for a job; `told(job)` at every look. The ended job, or an error with the message of a failed one. */
export async function waitFor(job, told = () => {}, pause = 500) {
  let now = job;
  while (!ENDED.includes(now.state)) {
    told(now);
    await new Promise((resolve) => setTimeout(resolve, pause));
    now = await api.job(job.id);
  }
  told(now);
  if (now.state === "failed") throw new Refused(500, { what: now.message || "The job failed" });
  return now;
}
