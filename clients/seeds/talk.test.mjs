// System D: two-way talk over a stream and POST.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { bearer, post, register, serve, timeout, until } from './server.mjs';
import { Talk } from './talk-client.mjs';

// A talk that is open, and what it was told.
async function open(t, url, token) {
    const told = [];
    const talk = new Talk(url, bearer(token), event => told.push(event));
    t.after(() => talk.close());
    await talk.ready;
    return { talk, told };
}

// The terminal's client as a process, and what it printed.
function terminal(t, url, token) {
    const child = spawn(process.execPath, [fileURLToPath(new URL('terminal.mjs', import.meta.url)), url], {
        env: { ...process.env, TOKEN: token }, stdio: ['pipe', 'pipe', 'inherit']
    });
    const run = { child, printed: '', exited: once(child, 'exit') };
    child.stdout.on('data', chunk => { run.printed += chunk; });
    t.after(() => child.kill('SIGKILL'));
    return run;
}

describe('talk', { timeout, concurrency: 2 }, () => {
    test('answers on the stream of the session alone', async t => {
        const { url, token } = await serve(t);
        const first = await open(t, url, token);
        const second = await open(t, url, token);
        assert.notEqual(first.talk.sessionId, second.talk.sessionId);
        assert.deepEqual(await first.talk.send('Hello up there'), { http: 201, status: 'sent' });
        await until(() => first.told.length === 2);
        assert.match(first.told[1].text, /Hello up there/);
        assert.ok(Date.parse(first.told[0].timestamp) && Date.parse(first.told[1].timestamp));
        await second.talk.send('second');
        await until(() => second.told.length === 2);
        assert.match(second.told[1].text, /second/);
        assert.equal(first.told.length, 2);
    });

    test('says what is wrong', async t => {
        const { url } = await serve(t);
        const [alice, bob] = await register(url, 'alice', 'bob');
        const { talk } = await open(t, url, alice);
        for (const [text, session, wrong] of [
            [undefined, talk.sessionId, /text/], ['', talk.sessionId, /text/], ['x', 'unknown', /session/]
        ]) {
            const { http, error } = await talk.send(text, session);
            assert.equal(http, 400);
            assert.match(error, wrong);
        }
        const other = await post(`${url}/upward`, { text: 'x' }, bob, { 'x-session-id': talk.sessionId });
        assert.equal(other.status, 400, "another's session is unknown");
        await assert.rejects(new Talk(url, {}, () => {}).ready, /401/);
    });

    test('forgets the session when the stream is closed', async t => {
        const { url, token } = await serve(t);
        const { talk } = await open(t, url, token);
        talk.close();
        await until(async () => (await talk.send('anybody there?')).http === 400); // it notices in a moment
    });

    test('on a terminal', async t => {
        const { url, token } = await serve(t);
        const run = terminal(t, url, token);
        await until(() => /^< .*\n/.test(run.printed));
        run.child.stdin.write('first line\n');
        await until(() => /< .*first line/.test(run.printed));
        run.child.stdin.write('second line\n');
        await until(() => /< .*second line/.test(run.printed));
        run.child.kill('SIGINT');
        assert.deepEqual(await run.exited, [0, null]);
        assert.match(run.printed, /bye\n$/);
    });

    test('on a terminal without a token', async t => {
        const { url } = await serve(t);
        const run = terminal(t, url, '');
        assert.deepEqual(await run.exited, [1, null]);
        assert.match(run.printed, /^! .*401/m);
    });
});
