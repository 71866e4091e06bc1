// Calls of the API. The token, where one is needed, is kept as long as this tab is open, and goes nowhere but into the header.

import { signal } from '@preact/signals';

const TOKEN = 'rtmp-relay token';

/** Why the page cannot go on before somebody has signed in; none if it can. */
export const signedOut = signal<string | null>(null);

/** What the API says no with. */
export class Problem extends Error {
  constructor(
    readonly code: string,
    readonly detail: string,
    readonly field: string | null,
    readonly parts: { detail: string; field: string | null }[],
  ) {
    super(detail);
  }
}

export function signIn(token: string) {
  sessionStorage.setItem(TOKEN, token);
  signedOut.value = null;
}

/** The headers that every request of ours has. */
export function headers(): Record<string, string> {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** What comes back for a request, which is sound; else a Problem. */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers: { ...headers(), ...init.headers }, cache: 'no-store' });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Problem('unreachable', 'the relay cannot be reached', null, []);
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  if (response.status === 401) signedOut.value = told.code ?? 'no_token';
  const parts = Array.isArray(told.problems) ? told.problems : [];
  throw new Problem(told.code ?? `${response.status}`, told.detail ?? response.statusText, told.field ?? null, parts);
}

/** An answer of the API, as JSON; nothing where it says nothing. */
export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { 'Content-Type': 'application/json' };
  }
  const response = await ask(`/api/v1/${path}`, init);
  return response.status === 204 ? (undefined as T) : response.json();
}
