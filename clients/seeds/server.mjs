// The server that the seeds' clients talk to, and its users.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { startServer } from '../typescript/server.mjs';

// Bounds every test; it only has to be longer than the slowest machine takes.
export const timeout = 120_000;

// Starts the server with the seeds' routes for one test, which it ends with.
export async function serve(t, ...args) {
    const server = await startServer('--seed-routes', '--query-token', '--signup=open', ...args);
    t.after(() => server.stop());
    return server;
}

// Gives a test a way to start servers on one folder, one after the other. The
// last one and the folder end with it.
export async function durable(t, ...args) {
    const folder = await mkdtemp(join(tmpdir(), 'wigwag-seeds-'));
    let last;
    t.after(async () => {
        await last?.stop();
        await rm(folder, { recursive: true, force: true });
    });
    return async (...more) => {
        last = await startServer('--seed-routes', '--signup=open', '--data', folder, ...args, ...more);
        return last;
    };
}

// The password of those who register.
export const password = 'long enough for a test';

// Registers users and signs them in. Returns their access tokens.
export async function register(url, ...names) {
    const tokens = [];
    for (const username of names) {
        const made = await post(`${url}/api/register`, { username, password });
        if (made.status !== 201) throw new Error(`registering ${username}: ${made.status} ${await made.text()}`);
        const answer = await post(`${url}/api/login`, { username, password });
        tokens.push((await answer.json()).token);
    }
    return tokens;
}

// Posts JSON, as somebody where there is a token.
export function post(url, body, token, headers = {}) {
    return fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...bearer(token), ...headers },
        body: JSON.stringify(body)
    });
}

export const bearer = token => (token ? { authorization: `Bearer ${token}` } : {});

// A fetch for an EventSource that sends more headers, as a page's polyfill does.
export const fetchWith = headers => (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } });

// Waits until a condition holds.
export async function until(condition) {
    const late = Date.now() + timeout / 2;
    while (!await condition()) {
        if (Date.now() > late) throw new Error(`never: ${condition}`);
        await pause(5);
    }
}
