// Each client gets the address of a server and nothing else. It registers,
// sends a person to the browser, calls a tool, and calls it again when its
// access token has expired, without the person.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { startServer } from '../typescript/server.mjs';
import { clients } from './clients.mjs';

// Bounds every test; it only has to be longer than the slowest machine takes.
const timeout = 120_000;
const lifetime = 5; // of an access token, in seconds

describe('signs in once', { concurrency: true, timeout }, () => {
    for (const { name, start } of clients) {
        test(name, { timeout }, async t => {
            const folder = await mkdtemp(join(tmpdir(), 'wigwag-signin-'));
            t.after(() => rm(folder, { recursive: true, force: true }));
            const server = await startServer(`--token-lifetime=${lifetime}s`, '--log-level=debug');
            t.after(() => server.stop());
            const answered = (method, path, status) =>
                server.log().split(`msg=request method=${method} path=${path} status=${status} `).length - 1;

            const send = await start(server.url, folder, t);
            assert.match(await send('Hello'), /^Sent\./);
            await pause(lifetime * 1000);
            assert.match(await send('Hello again'), /^Sent\./);

            await until(() => answered('POST', '/oauth/token', 200) > 1, 'nothing was refreshed');
            assert.equal(answered('POST', '/oauth/register', 201), 1, 'registrations');
            assert.equal(answered('POST', '/oauth/authorize', 303), 2, 'forms: one to sign in, one to consent');
        });
    }
});

async function until(condition, otherwise) {
    for (const deadline = Date.now() + timeout / 2; !condition();) {
        if (Date.now() > deadline) assert.fail(otherwise);
        await pause(10);
    }
}
